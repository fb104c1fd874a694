"""The breakages, by part."""

from tools.breakages.table import export, generation, layers, models, ops, pretrained, trainer

BREAKAGES = (
    *ops.BREAKAGES,
    *layers.BREAKAGES,
    *models.BREAKAGES,
    *generation.BREAKAGES,
    *export.BREAKAGES,
    *pretrained.BREAKAGES,
    *trainer.BREAKAGES,
)

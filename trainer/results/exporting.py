"""Exports the model of a run, with the signatures that its task allows and a card that describes the training."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
from ml_collections import ConfigDict

from reformer_tf import export
from trainer import tasks
from trainer.config import as_dict
from trainer.storage import metrics
from trainer.storage.workdir import Workdir


def export_model(
    model: keras.Model,
    description: Mapping[str, Any],
    config: ConfigDict,
    workdir: Workdir,
    directory: str | os.PathLike[str],
    sentencepiece: bool = False,
    device: str | None = None,
    memory_bytes: int | None = None,
) -> pathlib.Path:
    """Exports the model of a run as the next version in a folder.

    Args:
        model: The model, with the weights of a checkpoint.
        description: Description in that checkpoint.
        config: Config of the run.
        workdir: Folder of the run.
        directory: Folder of the versions.
        sentencepiece: Whether a SentencePiece run gets the signatures for strings. They need TensorFlow Text wherever
            the export is loaded.
        device: Kind of device that will serve the model, see `export_saved_model`.
        memory_bytes: Its memory, of a GPU or TPU.

    Returns:
        The folder of the new version.

    Raises:
        ValueError: If `sentencepiece` is True and the run has another tokenizer, or if `export_saved_model` refuses an
            argument.
    """
    options = tasks.from_config(config).export_options(config, sentencepiece)
    card = _card(description, config, workdir)
    return export.export_saved_model(model, directory, card=card, device=device, memory_bytes=memory_bytes, **options)


def _card(description: Mapping[str, Any], config: ConfigDict, workdir: Workdir) -> dict[str, Any]:
    step = description["step"]
    last = {
        record["split"]: record for record in metrics.read_records(workdir.metrics) if record["step"] <= step
    }  # The last line of each split.
    return {
        "training": {
            "step": step,
            # Where the weights are the mean of several checkpoints.
            **({"averaged_steps": description["averaged_steps"]} if "averaged_steps" in description else {}),
            "examples_seen": description.get("examples_seen"),
            "tokens_seen": description.get("tokens_seen"),
            # None for published weights, and in checkpoints that are older than the field.
            "corpus": description.get("corpus"),
            "fingerprints": description.get("data"),
            # The run whose weights it began with, and their checkpoint; None for random ones.
            "begun_with": description.get("begun_with"),
            "config": as_dict(config),
        },
        "metrics": last,
    }

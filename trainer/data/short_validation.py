"""A warning where the validation documents are too short to say anything."""

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from trainer.data.documents import Documents

_FEW = 4


def warn(config: ConfigDict, documents: Documents) -> None:
    """Warns where validation is shorter than a few examples, in a run that evaluates.

    Tokens are counted as bytes. SentencePiece's tokens have more than one byte, so for them the warning comes only at
    fewer examples.

    Args:
        config: Config of the run.
        documents: Its validation documents.
    """
    length = config.train.sequence_length
    if config.data.layout == "padded":  # Even a short document makes an example.
        examples = np.ceil((np.diff(documents.offsets) - 1) / length).sum()
    else:
        examples = documents.num_bytes / length
    if config.train.eval_every < 0 or examples >= _FEW:
        return
    logging.warning(
        "The validation documents have %s byte(s), less than %d examples of `config.train.sequence_length`, %s tokens: "
        "their loss says little. A larger `config.data.validation_fraction` (%s now) or documents of their own in "
        "`config.data.validation_path` give more",
        f"{documents.num_bytes:,}",
        _FEW,
        f"{length:,}",
        config.data.validation_fraction,
    )

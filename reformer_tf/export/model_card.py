"""The model card of an export: `assets.extra/model_card.json`."""

import json
import pathlib
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.models import ReformerSeq2Seq
from reformer_tf.tokenizers import Tokenizer

FILE = "model_card.json"
_PACKAGE = "reformer_tf"
# The entries that the export writes.
_OWN = {"model", "tokenizer", "labels", "versions", "signatures"}


def checked(card: Mapping[str, Any] | None) -> dict[str, Any]:
    """The further entries of a card.

    Raises:
        ValueError: if they are not JSON, or one has a name that the export itself uses.
    """
    card = dict(card or {})
    taken = _OWN & card.keys()
    if taken:
        raise ValueError(f"card must not say what the export itself does: {', '.join(sorted(taken))}. Received: {card}")
    try:
        json.dumps(card, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"card must be what JSON knows. Received: {error}") from error
    return card


def make(model: keras.Model, tokenizer: Tokenizer | None, labels: Sequence[str] = ()) -> dict[str, Any]:
    """Describes a model.

    Args:
        model: the model.
        tokenizer: its tokenizer, or None.
        labels: the names of its classes, if it has any.

    Returns:
        `model` (its class, arguments and number of parameters; of a `ReformerSeq2Seq` also those of `encoder` and
        `decoder`), `tokenizer`, `labels` if there are any, and `versions`.
    """
    return {
        "model": {
            "class": type(model).__name__,
            "config": model.get_config(),
            "parameters": model.count_params(),
            **_sides(model),
        },
        "tokenizer": tokenizer and tokenizer.describe(),
        **({"labels": list(labels)} if labels else {}),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            _PACKAGE: _package_version(),
        },
    }


def describe_signatures(functions: Mapping[str, Any], inputs: Mapping[str, Sequence[tf.TensorSpec]]) -> dict[str, Any]:
    """Describes names, types and shapes of the inputs and outputs of signatures.

    Args:
        functions: concrete functions by name of the signature.
        inputs: the inputs of each signature, with the ranks that its function checks.
    """
    return {
        name: {
            "inputs": {spec.name: _described(spec) for spec in inputs[name]},
            "outputs": {output: _described(spec) for output, spec in function.structured_outputs.items()},
        }
        for name, function in functions.items()
    }


def write(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a card to the `assets.extra` of an export."""
    # A user's own model may have arguments that are not JSON.
    text = json.dumps(content, indent=2, sort_keys=True, default=repr)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def _sides(model: keras.Model) -> dict[str, Any]:
    if not isinstance(model, ReformerSeq2Seq):
        return {}
    # With what the model's arguments mean for each.
    sides: dict[str, Any] = {"encoder": model.encoder, "decoder": model.decoder}
    return {name: {"config": side.config, "parameters": side.count_params()} for name, side in sides.items()}


def _described(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _package_version() -> str | None:
    """The version of this package; None if it is imported from its folder without being installed."""
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return None

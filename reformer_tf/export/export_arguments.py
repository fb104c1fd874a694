"""Arguments of `export_saved_model` that must fit the model."""

from collections.abc import Sequence

import keras
import numpy as np

from reformer_tf.layers import arguments
from reformer_tf.models import ReformerCausalLM, ReformerClassifier, ReformerSeq2Seq
from reformer_tf.tokenizers import ByteTokenizer, Tokenizer

_READ_TEXT = (ReformerCausalLM, ReformerClassifier, ReformerSeq2Seq)
_MAX_BEAMS = 8


def checked_labels(model: keras.Model, labels: Sequence[str]) -> tuple[str, ...]:
    """Checks the names of a classifier's classes.

    Args:
        model: the model.
        labels: as in `export_saved_model`.

    Returns:
        The names; none if they are left out.

    Raises:
        ValueError: if they are not different strings, one for each class of the model.
    """
    count = model.num_classes if isinstance(model, ReformerClassifier) else 0
    is_list = isinstance(labels, Sequence | np.ndarray) and not isinstance(labels, str)
    names = tuple(labels) if is_list else ()
    are_names = all(isinstance(name, str) and _is_text(name) for name in names) and len({*names}) == len(names)
    if not (is_list and are_names and len(names) in (0, count)):
        rule = f"{count} different strings" if count else "left out for a model that is no ReformerClassifier"
        raise ValueError(f"`labels` must be {rule}. Received: labels={labels!r}")
    return names


def checked_beams(model: keras.Model, max_beams: int | None) -> int:
    """Checks the greatest number of beams of a request.

    Args:
        model: the model.
        max_beams: as in `export_saved_model`.

    Raises:
        ValueError: if it is not positive, or the model is no `ReformerSeq2Seq`.
    """
    if max_beams is not None and not isinstance(model, ReformerSeq2Seq):
        raise ValueError(f"max_beams must be None for a model that is no ReformerSeq2Seq. Received: {max_beams!r}")
    return _MAX_BEAMS if max_beams is None else arguments.positive_integer("max_beams", max_beams)


def _is_text(name: str) -> bool:
    """Whether a string can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_tokenizer(model: keras.Model, tokenizer: Tokenizer | str | None) -> Tokenizer | None:
    """Checks the tokenizer of a model, or chooses it.

    Args:
        model: the model.
        tokenizer: as in `export_saved_model`.

    Returns:
        The tokenizer; None for no text.

    Raises:
        ValueError: if it does not fit the model.
    """
    if tokenizer is None:
        return None
    if isinstance(tokenizer, str):
        arguments.choice("tokenizer", tokenizer, ("auto",))
        byte_tokenizer = ByteTokenizer()
        has_bytes = {*_vocabulary_sizes(model).values()} == {byte_tokenizer.vocabulary_size}
        return byte_tokenizer if has_bytes and not isinstance(model, ReformerClassifier) else None
    if not isinstance(model, _READ_TEXT):
        names = ", ".join(kind.__name__ for kind in _READ_TEXT)
        raise ValueError(
            f"`tokenizer` must be None for a model that is none of {names}. Received: {type(model).__name__}"
        )
    for name, size in _vocabulary_sizes(model).items():
        if tokenizer.vocabulary_size > size:
            raise ValueError(
                f"The ids of `tokenizer` must be ids of the model, which has {name}={size}. Received:"
                f" {type(tokenizer).__name__} with {tokenizer.vocabulary_size} ids"
            )
    return tokenizer


def _vocabulary_sizes(model: keras.Model) -> dict[str, int]:
    """The sizes of the vocabularies of a model that reads text, by the names of its arguments; none of another."""
    if not isinstance(model, _READ_TEXT):
        return {}
    config = model.config if isinstance(model, ReformerSeq2Seq) else model.backbone.config
    names = ("vocabulary_size", "source_vocabulary_size", "target_vocabulary_size")
    return {name: config[name] for name in names if name in config}

"""Shows people a text with hidden tokens, and what a model fills in."""

import itertools

import numpy as np

from reformer_tf.tokenizers import Tokenizer
from trainer.data.masked_examples import IGNORED

HIDDEN = "▢"
"""Stands for a hidden token."""


def describe(ids: np.ndarray, targets: np.ndarray, likeliest: np.ndarray, mask_id: int, tokenizer: Tokenizer) -> str:
    """Writes what a model sees, and under it the same with its likeliest tokens in place of those to predict.

    Args:
        ids: `[L]` integers, what the model sees.
        targets: `[L]` integers, `IGNORED` where there is nothing to predict.
        likeliest: `[L]` integers, the likeliest token at each position.
        mask_id: The id that hides a token.
        tokenizer: Tokenizer of the ids.

    Returns:
        Lines. Bytes that are not UTF-8 become replacement characters, and ids that stand for no text are left out.

    Example:
        >>> from reformer_tf.tokenizers import ByteTokenizer
        >>> from trainer.data.masked_examples import IGNORED
        >>> seen, targets = np.array([257, 98, 257]), np.array([97, IGNORED, 99])
        >>> print(describe(seen, targets, np.array([97, 97, 97]), 257, ByteTokenizer()))
        2 of 3 tokens are to be predicted. The model sees, with ▢ for each hidden one:
        ▢b▢
        It fills in, 1 of them right:
        aba
    """
    chosen = targets != IGNORED
    right = np.count_nonzero(chosen & (likeliest == targets))
    return "\n".join(
        [
            f"{np.count_nonzero(chosen)} of {len(ids)} tokens are to be predicted. The model sees, with {HIDDEN} for "
            "each hidden one:",
            _text(ids, mask_id, tokenizer),
            f"It fills in, {right} of them right:",
            _text(np.where(chosen, likeliest, ids), mask_id, tokenizer),
        ]
    )


def _text(ids: np.ndarray, mask_id: int, tokenizer: Tokenizer) -> str:
    """The text of ids, in which the mask is a character of its own."""
    parts = [
        HIDDEN.encode() * len(part) if hidden else tokenizer.to_bytes(part)
        for hidden, part in (
            (hidden, list(group)) for hidden, group in itertools.groupby(ids, lambda id_: id_ == mask_id)
        )
    ]
    return b"".join(parts).decode("utf-8", errors="replace")

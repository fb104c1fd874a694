"""Shows people a text with hidden tokens, and what a model fills in."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.masked_examples import IGNORED

HIDDEN = "▢"
"""Stands for a hidden token."""


def describe(
    ids: np.ndarray,
    targets: np.ndarray,
    likeliest: np.ndarray,
    mask_id: int,
    to_bytes: Callable[[Sequence[int]], bytes],
    hidden: str = HIDDEN,
) -> str:
    """Writes what a model sees, and under it the same with its likeliest tokens in place of those to predict.

    Args:
        ids: `[L]` integers, what the model sees.
        targets: `[L]` integers, `IGNORED` where there is nothing to predict.
        likeliest: `[L]` integers, the likeliest token at each position.
        mask_id: The id that hides a token.
        to_bytes: Maps ids to what people read.
        hidden: Stands for a hidden token.

    Returns:
        Lines. Bytes that are not UTF-8 become replacement characters, and ids that stand for no text are left out.

    Example:
        >>> from reformer_tf.tokenizers import ByteTokenizer
        >>> from trainer.data.masked_examples import IGNORED
        >>> seen, targets = np.array([257, 98, 257]), np.array([97, IGNORED, 99])
        >>> print(describe(seen, targets, np.array([97, 97, 97]), 257, ByteTokenizer().to_bytes))
        2 of 3 tokens are to be predicted. The model sees, with ▢ for each hidden one:
        ▢b▢
        It fills in, 1 of them right:
        aba
    """
    chosen = targets != IGNORED
    right = np.count_nonzero(chosen & (likeliest == targets))

    def text(tokens: np.ndarray) -> str:
        parts = itertools.groupby(tokens.tolist(), lambda token: token == mask_id)
        written = [hidden.encode() * len([*part]) if is_mask else to_bytes([*part]) for is_mask, part in parts]
        return b"".join(written).decode("utf-8", errors="replace")

    return "\n".join(
        [
            f"{np.count_nonzero(chosen)} of {len(ids)} tokens are to be predicted. The model sees, with {HIDDEN} for "
            "each hidden one:",
            text(ids),
            f"It fills in, {right} of them right:",
            text(np.where(chosen, likeliest, ids)),
        ]
    )

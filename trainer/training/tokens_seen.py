"""How many tokens a run has trained on: targets that are no padding, of the steps that changed the weights."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from trainer.data.examples import Windows
from trainer.data.shuffle import shuffled_indices

_BLOCK = 1 << 20  # Examples whose sizes are looked up at a time.


class TokensSeen:
    """Counts over the whole run, in integers: exact across restarts, uneven batches and several replicas.

    Args:
        count: What was counted before; None where nobody knows.

    Attributes:
        count: Number of tokens so far; None where the beginning of the run is not known.
    """

    def __init__(self, count: int | None = 0):
        self.count = count

    def add(self, tokens: float, applied: bool) -> None:
        """Counts a step.

        Args:
            tokens: Targets in its global batch.
            applied: Whether the update was made. A skipped step has trained on nothing.
        """
        if self.count is not None and applied:
            self.count += int(tokens)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold of it."""
        return {"tokens_seen": self.count}


def restored(description: Mapping[str, Any], updates: int, windows: Windows, batch_size: int, seed: int) -> TokensSeen:
    """The count of a checkpoint.

    A checkpoint that is older than the count gets the right one all the same: which windows a step reads follows from
    the seed. Only where steps were skipped, nobody knows any more which.

    Args:
        description: Of the checkpoint.
        updates: Number of updates in its optimizer.
        windows: The training windows of the run.
        batch_size: Rows of its global batch.
        seed: Of the order of its examples.
    """
    if "tokens_seen" in description:
        return TokensSeen(description["tokens_seen"])
    step = description["step"]
    return TokensSeen(count_examples(windows, step * batch_size, seed) if step == updates else None)


def count_examples(windows: Windows, examples: int, seed: int) -> int:
    """Counts the targets of the first examples of a run.

    Args:
        windows: The training windows.
        examples: How many examples, of all epochs together.
        seed: Of their order.
    """
    epochs, rest = divmod(examples, len(windows))
    count = epochs * windows.tokens
    first = epochs * len(windows)
    for begin in range(first, first + rest, _BLOCK):
        block = tf.range(begin, min(begin + _BLOCK, first + rest), dtype=tf.int64)
        count += int((windows.sizes[shuffled_indices(block, len(windows), seed).numpy()] - 1).sum())
    return count

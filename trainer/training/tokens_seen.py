"""Counts the tokens that a run has trained on: targets without padding, of steps that changed the weights."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from trainer.data.example_set import ExampleSet
from trainer.data.shuffle import shuffled_indices

_BLOCK = 1 << 20  # Number of examples whose sizes are looked up at a time.


class TokensSeen:
    """Number of tokens over the whole run, an integer: exact across restarts, uneven batches and several replicas.

    Args:
        count: Number of tokens before; None if it is not known.

    Attributes:
        count: Number of tokens so far; None if it is not known.
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
        """The entries of a checkpoint's description."""
        return {"tokens_seen": self.count}


def restored(
    description: Mapping[str, Any], updates: int, examples: ExampleSet, batch_size: int, seed: int
) -> TokensSeen:
    """Restores the count of a checkpoint.

    For a checkpoint that is older than the count it is computed, because the seed decides which examples a step reads.
    It is unknown if steps were skipped, as nothing says which.

    Args:
        description: Description of the checkpoint.
        updates: Number of updates in its optimizer.
        examples: The training examples of the run.
        batch_size: Rows of its global batch.
        seed: Seed of the shuffling.
    """
    if "tokens_seen" in description:
        return TokensSeen(description["tokens_seen"])
    step = description["step"]
    return TokensSeen(count_tokens(examples, step * batch_size, seed) if step == updates else None)


def count_tokens(examples: ExampleSet, number: int, seed: int) -> int:
    """Counts the targets of the first examples of a run.

    Args:
        examples: The training examples.
        number: Number of examples, of all epochs together.
        seed: Seed of the shuffling.
    """
    epochs, rest = divmod(number, len(examples))
    tokens = epochs * examples.tokens
    first = epochs * len(examples)
    for begin in range(first, first + rest, _BLOCK):
        block = tf.range(begin, min(begin + _BLOCK, first + rest), dtype=tf.int64)
        tokens += int((examples.sizes[shuffled_indices(block, len(examples), seed).numpy()] - examples.overlap).sum())
    return tokens

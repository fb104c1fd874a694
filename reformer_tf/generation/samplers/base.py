"""The base class of samplers."""

from typing import Any

import tensorflow as tf

from reformer_tf.generation.samplers import filters
from reformer_tf.layers import arguments


class Sampler:
    """Chooses the next token of each row.

    A subclass narrows the distribution in `narrow`; this class draws from the rest.

    Args:
        temperature: divides the logits; positive. The lower, the likelier the tokens.
        repetition_penalty: at least 1, which is none. Logits of tokens that a row has already are divided by it where
            they are positive and multiplied by it where they are not (Keskar et al., 2019, section 4.1).

    Call arguments:
        logits: float `[B, V]`.
        seed: integer scalar, or `[B]` with one for each row: decides all draws.
        positions: int32 `[B]`, the index of the new token in its row, without padding.
        seen: bool `[B, V]`, which tokens each row has already; only needed with a repetition penalty.

    Returns:
        int32 `[B]`.

    Raises:
        ValueError: if an argument is out of range, or `seen` is missing.
    """

    def __init__(self, temperature: float = 1.0, repetition_penalty: float = 1.0):
        if not (arguments.is_number(temperature) and temperature > 0):
            raise ValueError(f"temperature must be positive. Received: temperature={temperature!r}")
        if not (arguments.is_number(repetition_penalty) and repetition_penalty >= 1):
            raise ValueError(
                f"repetition_penalty must be at least 1. Received: repetition_penalty={repetition_penalty!r}"
            )
        self.temperature = float(temperature)
        self.repetition_penalty = float(repetition_penalty)

    @property
    def looks_back(self) -> bool:
        """Whether `seen` is needed."""
        return self.repetition_penalty > 1

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __call__(self, logits: Any, seed: Any, positions: Any, seen: Any = None) -> tf.Tensor:
        logits = tf.cast(logits, tf.float32)
        if self.looks_back:
            if seen is None:
                raise ValueError("seen must be given with a repetition_penalty. Received: seen=None")
            logits = filters.penalize(logits, seen, self.repetition_penalty)
        return self.choose(logits, seed, positions)

    def choose(self, logits: tf.Tensor, seed: Any, positions: Any) -> tf.Tensor:
        """Draws from the narrowed distribution."""
        return filters.draw(self.narrow(logits / self.temperature), seed, positions)

    def narrow(self, logits: tf.Tensor) -> tf.Tensor:
        """Sets the logits of tokens that must not be drawn to minus infinity."""
        return logits

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"temperature": self.temperature, "repetition_penalty": self.repetition_penalty}

"""The randomness of attention: a layer's own seed, that of a call, and dropout of pairs of tokens."""

import random
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.projections import HeadProjections, Heads
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.ops import seeds, shapes
from reformer_tf.ops.attention.pair_dropout import PairDropout


class SeededAttention(SavesSeedState, HeadProjections):
    """Base of self- and cross-attention; a subclass calls `set_randomness` in its constructor.

    Attributes:
        dropout: fraction of the attention probabilities to drop in training.
        seed: integer that tells this layer's randomness from other layers'.
        seed_generator: seeds training calls without a seed.
    """

    dropout: float
    seed: int

    def set_randomness(self, dropout: float, seed: int | None) -> None:
        """Checks and sets the attributes.

        Args:
            dropout: in [0, 1).
            seed: drawn if None.

        Raises:
            ValueError: for a dropout outside [0, 1), or a seed that is no integer.
        """
        self.dropout = arguments.rate("dropout", dropout)
        self.seed = random.randrange(2**31) if seed is None else arguments.integer("seed", seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def is_random(self, training: bool | None) -> bool:
        """Whether a call needs a seed."""
        return bool(training) and self.dropout > 0

    def resolve_seed(self, seed: Any, training: bool | None, batch: shapes.Size) -> tf.Tensor | None:
        """The seed `[3]` of a call that is random, drawn from the layer's generator if `seed` is None; else None."""
        if not self.is_random(training):
            return None
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        return seeds.with_row_offset(seed, batch)

    def pair_dropout(self, call: Any, heads: Heads, batch: shapes.Size) -> PairDropout | None:
        """The dropout of some heads in a call, which has `seed`, `layer_seed` and `training`; None without."""
        if not (call.training and self.dropout):
            return None
        return PairDropout.for_heads(self.dropout, call.seed, call.layer_seed, batch, heads.first, heads.count)

"""Dropout of attention probabilities as a function of query and key, not of where they are computed."""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import dropout, seeds, shapes
from reformer_tf.ops.execution import index_ranges


class PairDropout(NamedTuple):
    """Drops pairs of a query and a key.

    The factor of a pair is a function of a random key for row and head, and of the two positions. A pair counts in only
    one round, so the factor does not depend on the round: LSH attention whose windows cover all tokens equals full
    attention with dropout on, too.

    Attributes:
        rate: fraction of the pairs to drop, in (0, 1).
        keys: uint32 `[N]`, one for each row and head.
    """

    rate: float
    keys: tf.Tensor

    @classmethod
    def for_heads(
        cls,
        rate: float,
        seed: tf.Tensor,
        layer_seed: seeds.LayerSeed,
        batch: shapes.Size,
        first_head: shapes.Size,
        heads: shapes.Size,
    ) -> "PairDropout":
        """The dropout of some heads of a layer in a call.

        Args:
            rate: fraction of the pairs to drop, in (0, 1).
            seed: int32 `[3]`, of the call.
            layer_seed: of the layer.
            batch: B, the number of rows.
            first_head: the index of the first of the heads.
            heads: h, their number; N = B * h.
        """
        rows = seeds.row_keys(seed, layer_seed, batch)
        return cls(rate, tf.reshape(seeds.mix(rows[:, None], first_head + tf.range(heads)), [-1]))

    def factors(self, query_positions: tf.Tensor, key_positions: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """0 for dropped pairs, `1 / (1 - rate)` for others.

        Args:
            query_positions: int32 `[..., N, Q]` (or 1 in place of N).
            key_positions: int32 `[..., N, W]`.
            dtype: of the result.

        Returns:
            `[..., N, Q, W]`.
        """
        rows = seeds.mix(self.keys[:, None], query_positions)[..., :, None]
        columns = seeds.mix(key_positions)[..., None, :]
        return dropout.keep_scale(seeds.scramble(rows + columns), self.rate, dtype)

    def own_factors(self, length: shapes.Size, dtype: tf.DType) -> tf.Tensor:
        """The factors of the pairs of each token with itself, `[N, L]`."""
        positions = index_ranges.below(length)
        bits = seeds.mix(self.keys[:, None], positions) + seeds.mix(positions)
        return dropout.keep_scale(seeds.scramble(bits), self.rate, dtype)

"""Chooses the tokens that a masked language model predicts, and hides most of them.

Shape letters: B rows of a batch, L length.
"""

import dataclasses

import tensorflow as tf

from reformer_tf.ops import seeds, shapes


@dataclasses.dataclass(frozen=True)
class Masking:
    """BERT's rule: some tokens are to be predicted; of these most become the mask, some a random id, and some stay.

    Each token is chosen on its own, by a function of the random bits of its row and of its position: the same on every
    device and at every length, whatever the rest of the batch.

    Args:
        vocabulary_size: V, number of ids of the model; at least 2. The mask is V - 1, and a random id is any other.
        fraction: Fraction of the tokens that are to be predicted.
        mask_fraction: Fraction of these that become the mask.
        random_fraction: Fraction of these that become a random id.
        boundary: Id that is never chosen, since it is no text; None if all ids may be chosen.

    References:
        Devlin, Chang, Lee, Toutanova, 2019, BERT, section 3.1, 'Masked LM'.

    Example:
        >>> masking = Masking(vocabulary_size=258, fraction=1.0, mask_fraction=1.0, random_fraction=0.0, boundary=256)
        >>> ids, mask = tf.constant([[256, 97, 98, 0]]), tf.constant([[True, True, True, False]])
        >>> hidden, chosen = masking.hide(ids, mask, tf.constant([7], tf.uint64))
        >>> hidden.numpy().tolist(), chosen.numpy().tolist()
        ([[256, 257, 257, 0]], [[False, True, True, False]])
    """

    vocabulary_size: int
    fraction: float = 0.15
    mask_fraction: float = 0.8
    random_fraction: float = 0.1
    boundary: int | None = None

    @property
    def mask_id(self) -> int:
        """The id that hides a token."""
        return self.vocabulary_size - 1

    def hide(self, ids: tf.Tensor, mask: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Chooses the tokens to predict, and replaces most of them.

        Args:
            ids: `[B, L]` int32.
            mask: `[B, L]` bool, True for real tokens.
            draws: `[B]` uint64, 64 random bits for each row.

        Returns:
            `[B, L]` int32, what the model sees, and `[B, L]` bool, True for the tokens to predict.
        """
        low, high = tf.unstack(tf.bitcast(draws, tf.uint32)[:, :, None], axis=1)  # [B, 1] each
        bits = seeds.mix(low, high, tf.range(shapes.sizes(ids)[1]))  # [B, L]
        chosen = mask & _below(self.fraction, seeds.mix(bits, 0))
        if self.boundary is not None:
            chosen &= ids != self.boundary
        fate = seeds.mix(bits, 1)
        random_ids = tf.cast(seeds.mix(bits, 2) % tf.constant(self.mask_id, tf.uint32), tf.int32)
        replaced = tf.where(_below(self.mask_fraction + self.random_fraction, fate), random_ids, ids)
        replaced = tf.where(_below(self.mask_fraction, fate), self.mask_id, replaced)
        return tf.where(chosen, replaced, ids), chosen


def _below(fraction: float, bits: tf.Tensor) -> tf.Tensor:
    """Whether uint32 bits are in the first `fraction` of all their values: never for 0, and always for 1."""
    return tf.cast(bits, tf.int64) < round(fraction * 2**32)

"""What branches around the two kinds of sublayers of this package share."""

from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.layers.branches.base import LayerBranch
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.ops import dropout
from reformer_tf.ops.branch import Given


class Residual(LayerBranch):
    """A `ResidualBranch`: normalisation, a sublayer that subclasses know, dropout. Arguments as `LayerBranch`."""

    layer: ResidualBranch

    def __init__(self, layer: ResidualBranch, options: dict[str, Any], integers: Sequence[int] = ()):
        super().__init__(layer, options, [layer.dropout.seed, *integers])
        self.training = bool(options["training"])

    @property
    def kind(self) -> Hashable:
        sublayer = self.sublayer_kind()
        if sublayer is None:
            return None
        layer = self.layer
        parts = (layer, layer.layer, layer.normalization, layer.dropout)
        # Not the names of policies: a map of policies has one name for all.
        dtypes = [(x.compute_dtype, x.variable_dtype) for x in parts]
        return sublayer, layer.normalization.epsilon, layer.dropout.rate, *dtypes, self.signature()

    def sublayer_kind(self) -> Hashable:
        """As `kind`, of the sublayer without its weights and dtype."""
        raise NotImplementedError

    def dropped(self, update: tf.Tensor, given: Given, start: tf.Tensor) -> tf.Tensor:
        """What dropout leaves of a piece that begins at position `start`."""
        update = tf.cast(update, self.layer.dropout.compute_dtype)
        if not self.training or given.seed is None:
            return update
        return dropout.dropout(update, self.layer.dropout.rate, given.seed, self.own_integers(given)[0], start)

"""The arguments and the rows of random features, which self-attention and cross-attention by features have alike."""

from typing import Any

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.projections import HeadProjections
from reformer_tf.layers.frozen_weights import value as weight_value
from reformer_tf.ops import feature_rows, seeds
from reformer_tf.ops.attention.features import FEATURE_MAPS, FeatureMap

_DEFAULT_NUM_FEATURES = 256


class RandomFeatures(HeadProjections):
    """Mixin of layers that attend by features: a subclass calls `set_features` and `build_rows`.

    Attributes:
        seed: the layer's own integer seed, from which the stored rows follow.
        features: a name of `reformer_tf.ops.attention.features.FEATURE_MAPS`.
        num_features: m, or None for features without random rows.
        redraw_every: after how many training steps new rows are drawn; 0 for never.
    """

    seed: int
    fixed = frozenset({"num_features", "features"})

    def set_features(self, num_features: int | None, features: str, redraw_every: int) -> None:
        """Checks and sets the attributes, at the end of the constructor.

        Raises:
            ValueError: for unknown features, a number of features that these cannot have, or redrawing without rows.
        """
        self.features = arguments.choice("features", features, tuple(FEATURE_MAPS))
        self.num_features = self._checked_number(num_features)
        self.redraw_every = arguments.non_negative_integer("redraw_every", redraw_every)
        if redraw_every and not self._map.features_per_row:
            raise ValueError(
                f"redraw_every must be 0 with features={features!r}, which have no random rows."
                f" Received: redraw_every={redraw_every}"
            )

    @property
    def _map(self) -> FeatureMap:
        return FEATURE_MAPS[self.features]

    def _checked_number(self, number: int | None) -> int | None:
        per_row = self._map.features_per_row
        if not per_row:
            if number is not None:
                raise ValueError(
                    f"num_features must be left out with features={self.features!r}, which are as many as key_dim."
                    f" Received: num_features={number}"
                )
            return None
        number = arguments.positive_integer("num_features", _DEFAULT_NUM_FEATURES if number is None else number)
        if number % per_row:
            raise ValueError(
                f"num_features must be a multiple of {per_row} with features={self.features!r}."
                f" Received: num_features={number}"
            )
        return number

    def build_rows(self) -> None:
        """Makes the weight that stores the rows, at the end of `build`."""
        self._rows = None
        if self._rows_shape is not None:
            count, size = self._rows_shape
            self._rows = self.add_weight(
                (count, size),
                initializer=lambda _, dtype: tf.cast(
                    feature_rows.stored_rows(self.seed, count, size, self._map.scaled_rows), dtype
                ),
                trainable=False,
                autocast=False,  # weights of pairs are exponentials of products with them
                dtype="float32",
                name="feature_rows",
            )

    @property
    def _rows_shape(self) -> tuple[int, int] | None:
        if self.num_features is None:
            return None
        return self.num_features // self._map.features_per_row, self.key_dim

    def is_random(self, training: bool | None) -> bool:
        """Whether a call needs a seed."""
        return bool(training) and self.redraw_every > 0

    def rows(self, seed: tf.Tensor | None, layer_seed: seeds.LayerSeed, training: bool) -> tf.Tensor | None:
        """The rows of a call `[r, D]`: the stored ones, or redrawn ones in training; None if the features have none.

        Args:
            seed: int32 `[3]` of a call that is random, else None.
            layer_seed: the layer's own integer seed.
            training: whether this is a training call.
        """
        if self._rows_shape is None or not self.is_random(training):
            return self.stored_rows()
        seed = feature_rows.redraw_seed(seed, self.redraw_every)
        return feature_rows.drawn_rows(seed, layer_seed, *self._rows_shape, self._map.scaled_rows)

    def stored_rows(self) -> tf.Tensor | None:
        """The rows of inference, `[r, D]`."""
        return None if self._rows is None else tf.convert_to_tensor(weight_value(self._rows))

    def features_config(self) -> dict[str, Any]:
        """The entries of the config."""
        return {"num_features": self.num_features, "features": self.features, "redraw_every": self.redraw_every}

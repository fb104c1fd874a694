"""Features of queries and keys whose products stand in for the weights of pairs (Choromanski et al., 2021, Performers).

The weight of a pair is a sum over m features: sum_f phi_f(x) phi_f(y) for x = q D^-1/4 and y = k D^-1/4. All features
here are positive and are kept as logarithms, as one may be larger than another by more than a float32 holds. What is
common to the features of a query cancels from its output, and is left out: 1/sqrt(m), and exp(-|x|²/2).
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# What the features of `relu` are at least (appendix D.3: "kernel epsilon").
RELU_FLOOR = 1e-3


class FeatureMap(NamedTuple):
    """A kind of features.

    Attributes:
        queries: from x `[..., D]` and rows `[r, D]` the logarithms of the features of queries, `[..., m]`.
        keys: the same of keys.
        features_per_row: m / r; or 0 if there are no rows and m = D.
        scaled_rows: whether all rows have the length sqrt(D), see `feature_rows`.
    """

    queries: Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
    keys: Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
    features_per_row: int = 1
    scaled_rows: bool = False


def _project(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(x, tf.cast(rows, x.dtype), [[-1], [1]])


def _both_signs(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    projections = _project(x, rows)
    return tf.concat([projections, -projections], axis=-1)


def _less_half_square(logs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return logs - 0.5 * tf.reduce_sum(tf.square(y), axis=-1, keepdims=True)


def _positive_keys(y: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return _less_half_square(_project(y, rows), y)


def _hyperbolic_keys(y: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return _less_half_square(_both_signs(y, rows), y)


def _relu(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.nn.relu(_project(x, rows)) + RELU_FLOOR)


def _elu(x: tf.Tensor, rows: None) -> tf.Tensor:
    # elu(x) + 1 is exp(x) below zero.
    return tf.where(x > 0, tf.math.log1p(tf.nn.relu(x)), x)


# `softmax` is Lemma 1 of the paper, `hyperbolic` the same with both signs of a row, `softmax_regularized` SMREG of
# Theorem 1, `relu` its generalised attention, and `elu` that of Katharopoulos et al. (2020, Transformers are RNNs).
FEATURE_MAPS = {
    "softmax": FeatureMap(_project, _positive_keys),
    "softmax_regularized": FeatureMap(_project, _positive_keys, scaled_rows=True),
    "hyperbolic": FeatureMap(_both_signs, _hyperbolic_keys, features_per_row=2),
    "relu": FeatureMap(_relu, _relu),
    "elu": FeatureMap(_elu, _elu, features_per_row=0),
}


def number(name: str, rows: tf.Tensor | None, size: int) -> int:
    """The number m of features, for heads of a size."""
    per_row = FEATURE_MAPS[name].features_per_row
    return size if rows is None else per_row * rows.shape[0]

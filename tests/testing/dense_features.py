"""The math of `feature_reference` in TensorFlow operations that automatic differentiation understands."""

import tensorflow as tf


def log_weights(features: str, q: tf.Tensor, k: tf.Tensor, rows: tf.Tensor | None) -> tf.Tensor:
    """The logarithms of the weights of all pairs, `[..., L, L]`, from queries and keys `[..., L, D]`, not scaled."""
    root = q.shape[-1] ** 0.25
    a, b = (_log_features(features, z / root, rows) for z in (q, k))
    return tf.reduce_logsumexp(a[..., :, None, :] + b[..., None, :, :], axis=-1)


def _log_features(features: str, x: tf.Tensor, rows: tf.Tensor | None) -> tf.Tensor:
    if features == "elu":
        return tf.math.log(tf.nn.elu(x) + 1)
    projections = tf.einsum("...d,rd->...r", x, tf.cast(rows, x.dtype))
    if features == "relu":
        return tf.math.log(tf.nn.relu(projections) + 1e-3)
    if features == "hyperbolic":
        projections = tf.concat([projections, -projections], axis=-1)
    return projections - 0.5 * tf.reduce_sum(x**2, axis=-1, keepdims=True)

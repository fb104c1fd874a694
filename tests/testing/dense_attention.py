"""The math of `attention_reference` in TensorFlow operations that automatic differentiation understands.

Only the visible pairs come from outside, as constants: no gradient flows through a hash.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tests.testing import attention_reference as reference


def dense_attention(
    x: tf.Tensor,
    weights: Sequence[tf.Tensor],
    visible: np.ndarray,
    shared: bool,
    use_bias: bool = False,
    rotary: bool = False,
    factors: np.ndarray | None = None,
    log_weights: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """A whole attention layer in the dtype of `x`.

    Args:
        x: `[B, L, M]`.
        weights: The trainable weights of the layer in the layer's order, in the dtype of `x`.
        visible: Boolean or, where pairs count repeatedly, numbers `[B, H, L, L]`, row i for query i.
        shared: Whether queries and keys share a kernel.
        use_bias: Whether each kernel in `weights` is followed by its bias.
        rotary: Whether queries and keys are rotated by their positions.
        factors: `[B, H, L]`, what each head of each token is scaled by before the output projection, or None.
        log_weights: From queries and keys `[B, H, L, D]`, not scaled, to the logarithms of pairs' weights; None for
            those of softmax attention.

    Returns:
        `[B, L, M]`.
    """
    biases = [tf.cast(weight, x.dtype) for weight in weights[1::2]] if use_bias else [tf.zeros([], x.dtype)] * 4
    kernels = [tf.cast(weight, x.dtype) for weight in (weights[::2] if use_bias else weights)]
    *inner, output = kernels
    projected = [tf.einsum("blm,mhd->bhld", x, kernel) for kernel in inner]
    projected = [
        y + (bias[:, None, :] if bias.shape.rank else bias) for y, bias in zip(projected, biases, strict=False)
    ]
    if rotary:
        projected[:-1] = [_rotate(y) for y in projected[:-1]]
    depth = tf.cast(tf.shape(projected[0])[-1], x.dtype)
    if shared:
        q, v = projected
        k = q * tf.math.rsqrt(tf.reduce_mean(q**2, axis=-1, keepdims=True) + 1e-6) / tf.sqrt(depth)
    else:
        q, k, v = projected
        k = k / tf.sqrt(depth)
    logits = tf.einsum("bhid,bhjd->bhij", q, k) if log_weights is None else log_weights(q, k * tf.sqrt(depth))
    if shared:
        logits -= reference.SELF_PENALTY * tf.eye(visible.shape[-1], dtype=x.dtype)
    # A row that sees nothing gets a finite softmax first and zeros after it, so that no gradient is a NaN.
    logits += tf.constant(np.log(np.maximum(visible, 1)), x.dtype)
    logits = tf.where(visible > 0, logits, tf.constant(-1e30, x.dtype))
    p = tf.nn.softmax(logits) * tf.cast(visible > 0, x.dtype)
    if factors is not None:
        p *= tf.constant(factors[..., None], x.dtype)
    return tf.einsum("bhij,bhjd,hdm->bim", p, v, output) + (biases[len(inner)] if use_bias else 0.0)


def _rotate(x: tf.Tensor) -> tf.Tensor:
    """Rotation is linear: the reference gives its matrices, one a position."""
    turned = reference.rotate(np.broadcast_to(np.eye(x.shape[-1])[:, None], [x.shape[-1], x.shape[-2], x.shape[-1]]))
    return tf.einsum("bhld,dle->bhle", x, tf.constant(turned, x.dtype))

"""An attention layer on the unblocked core: projections by einsum, everything else in `attention` beside it.

Shape letters: B batch, L sequence length, M width, H heads, D size of a head, R hash rounds.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from reformer_tf.layers import LocalSelfAttention, LSHSelfAttention
from tests.testing.unblocked import attention as reference_attention

_EPSILON = 1e-6  # In the normalisation of keys.


def entries(
    layer: LSHSelfAttention | LocalSelfAttention, buckets: np.ndarray | None, batch: int, length: int
) -> list[reference_attention.Entries]:
    """The entries that each head of each row sees in a layer.

    Args:
        layer: causal; with `window="chunk"`, with the defaults of that window.
        buckets: integers `[B, H, R, L]`, of an LSH layer.
        batch: B.
        length: L.

    Returns:
        B * H entries.

    Raises:
        ValueError: for a layer with other windows.
    """
    options = [layer._chunk_arguments[name] for name in layer._chunk_arguments]
    if not layer.causal or any(option is not None for option in options):
        raise ValueError(f"layer must be causal and of default windows. Received: {layer.get_config()}")
    local = np.zeros([batch * layer.num_heads, 1, length], np.int32)
    if buckets is None:
        rounds = local
    else:
        rounds = np.reshape(buckets, [batch * layer.num_heads, -1, length])
        if layer.local_round:
            rounds = np.concatenate([local, rounds], axis=1)
    return [reference_attention.ENTRIES[layer.window](head, layer.chunk_length) for head in rounds]


def attention(
    x: tf.Tensor,
    weights: Sequence[tf.Tensor],
    heads: Sequence[reference_attention.Entries],
    rotary: bool = False,
) -> tf.Tensor:
    """A complete attention layer without biases.

    Args:
        x: `[B, L, M]`.
        weights: the layer's kernels: query and key (one if shared), value `[M, H, D]`; output `[H, D, M]`.
        heads: the result of `entries`.
        rotary: whether queries and keys are rotated by their positions.

    Returns:
        `[B, L, M]` in the dtype of `x`. Only for eager mode.
    """
    *inner, output = [tf.cast(weight, x.dtype) for weight in weights]
    projected = [tf.einsum("blm,mhd->bhld", x, kernel) for kernel in inner]
    batch, num_heads, length, size = projected[0].shape
    if rotary:
        projected[:-1] = [_rotate(y) for y in projected[:-1]]
    shared_query_key = len(projected) == 2
    if shared_query_key:
        query, value = projected
        wide = tf.cast(query, tf.float32) if query.dtype.size < 4 else query
        norm = tf.sqrt(tf.reduce_mean(wide * wide, axis=-1, keepdims=True) + _EPSILON)
        key = tf.cast(wide / (norm * tf.constant(size**0.5, norm.dtype)), query.dtype)
    else:
        query, key, value = projected
        query = query / tf.constant(size**0.5, query.dtype)
    query, key, value = (tf.reshape(y, [batch * num_heads, length, size]) for y in (query, key, value))
    attended = reference_attention.attend(query, key, value, heads, exclude_self=shared_query_key)
    return tf.einsum("bhld,hdm->blm", tf.reshape(attended, [batch, num_heads, length, size]), output)


def _rotate(x: tf.Tensor) -> tf.Tensor:
    """Rotary positions of `[B, H, L, D]`: channels i and i + D/2 are rotated by the position times a frequency."""
    length, size = x.shape[-2:]
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(size // 2) / (size // 2))
    cos, sin = (tf.cast(values, x.dtype) for values in (np.cos(angles), np.sin(angles)))
    first, second = tf.split(x, 2, axis=-1)
    return tf.concat([first * cos - second * sin, first * sin + second * cos], axis=-1)

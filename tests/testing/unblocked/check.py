"""Checks an attention layer, as benchmarks time it, against the unblocked core with the same buckets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.layers import LSHSelfAttention
from reformer_tf.ops import replay
from tests.testing.unblocked import layer as reference_layer

_Results = tuple[tf.Tensor, Sequence[tf.Tensor]]  # Output and gradients.

_SEED = (0, 0)


def check(layer: LSHSelfAttention, length: int, batch: int = 1, jit_compile: bool = False) -> dict[str, float]:
    """Compares outputs and gradients of a training call on random inputs.

    An error is the largest difference divided by the largest value; the error of the gradients is the largest over the
    inputs and all weights. The reference is computed in float32. For a layer in bfloat16 the unblocked core is also
    computed in bfloat16, to show the effect of the precision by itself.

    Args:
        layer: built, causal, of default windows, without dropout or biases.
        length: L.
        batch: B.
        jit_compile: whether XLA compiles the layer's call.

    Returns:
        `check_output_error` and `check_gradient_error`; unless the layer computes in float32, also
        `check_output_error_unblocked` and `check_gradient_error_unblocked`.

    Raises:
        ValueError: for a layer with options that the unblocked core does not have.
    """
    if layer.dropout or layer.use_bias or layer.rotary:
        raise ValueError(f"layer must have no dropout, biases or rotary positions. Received: {layer.get_config()}")
    stream = np.random.default_rng(0)
    width = layer.trainable_variables[0].shape[0]
    x, upstream = (
        tf.cast(stream.normal(size=[batch, length, width]).astype(np.float32), layer.compute_dtype) for _ in range(2)
    )
    weights = layer.trainable_variables

    @tf.function(autograph=False, jit_compile=jit_compile)
    def timed(x: tf.Tensor, upstream: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape, replay.recording() as recorded:
            tape.watch(x)
            y = layer(x, seed=seed, training=True)
        gradients = tape.gradient(y, [x, *(weight.value for weight in weights)], output_gradients=upstream)
        return y, [tf.convert_to_tensor(gradient) for gradient in gradients], recorded[0]

    output, gradients, buckets = timed(x, upstream, tf.constant(_SEED))
    heads = reference_layer.entries(layer, buckets.numpy(), batch, length)

    def unblocked(dtype: str) -> _Results:
        with tf.GradientTape() as tape:
            inputs = [tf.cast(x, dtype), *(tf.convert_to_tensor(weight.value) for weight in weights)]
            tape.watch(inputs)
            y = reference_layer.attention(inputs[0], inputs[1:], heads)
        return y, tape.gradient(y, inputs, output_gradients=tf.cast(upstream, dtype))

    exact = unblocked("float32")
    result = _errors((output, gradients), exact)
    if layer.compute_dtype != "float32":
        result |= _errors(unblocked(layer.compute_dtype), exact, "_unblocked")
    return result


def relative_error(value: Any, exact: Any) -> float:
    """The largest difference, divided by the largest value."""
    value, exact = (np.asarray(tf.cast(x, tf.float64)) for x in (value, exact))
    return float(np.abs(value - exact).max() / np.abs(exact).max())


def _errors(found: _Results, exact: _Results, suffix: str = "") -> dict[str, float]:
    return {
        f"check_output_error{suffix}": relative_error(found[0], exact[0]),
        f"check_gradient_error{suffix}": max(map(relative_error, found[1], exact[1])),
    }

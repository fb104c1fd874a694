"""Gradients of a whole model beside unblocked ones of the same buckets.

In a new model tokens of the same bucket have nearly equal values, and then the gradient of the queries is a small
difference of large numbers: at 16,384 tokens and two layers it is 100,000 times smaller than the others, and even the
unblocked gradient in float32 has a relative error of 2e-5 against float64. So compare models with perturbed weights.
"""

import time
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import replay
from tests.testing.unblocked import model as reference_model
from tests.testing.unblocked.check import relative_error


def compare(model: ReformerCausalLM, ids: np.ndarray, dtype: str = "float32") -> dict[str, Any]:
    """Compares the gradient of the mean loss with the unblocked one.

    Args:
        model: as `reference_model.loss_and_gradients` takes it.
        ids: integers `[B, L + 1]`.
        dtype: of the unblocked gradient.

    Returns:
        `gradient_error`, the largest over the weights of the largest difference divided by the largest value of that
        weight's gradient; `worst_weight`; `gradient_error_of_largest`, the same divided by the largest value of all
        gradients; `loss`, `loss_error` (relative), `seconds` and `seconds_unblocked`.
    """
    variables = model.trainable_variables

    @tf.function(autograph=False)
    def step(ids: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        with tf.GradientTape() as tape, replay.recording() as recorded:
            loss = tf.reduce_mean(model.token_losses(ids, training=True, seed=seed))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients], recorded

    start = time.perf_counter()
    loss, gradients, buckets = step(tf.constant(ids, tf.int32), tf.constant([0, 0]))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    expected_loss, expected = reference_model.loss_and_gradients(model, ids, [b.numpy() for b in buckets], dtype)
    errors = {v.path: relative_error(*pair) for v, *pair in zip(variables, gradients, expected, strict=True)}
    worst = max(errors, key=lambda path: errors[path])
    largest = [float(np.abs(gradient).max()) for gradient in expected]
    largest_error = max(error * size for error, size in zip(errors.values(), largest, strict=True)) / max(largest)
    return {
        "gradient_error": errors[worst],
        "worst_weight": worst,
        "gradient_error_of_largest": largest_error,
        "loss": float(loss),
        "loss_error": abs(float(loss) - expected_loss) / expected_loss,
        "seconds": seconds,
        "seconds_unblocked": time.perf_counter() - start,
    }

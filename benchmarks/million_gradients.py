"""Compares gradients of a shorter version of `configs/million_tokens.py` with unblocked ones of the same buckets.

    python -m benchmarks.million_gradients --length=65536 --layers=12

The gradient of the first tokens of the config's sequence is computed twice: by the model of the config, with its
reversible layers, blocks and chunks, and by `benchmarks.reference.model`, which has none. The last line is one JSON
object: `gradient_error`, the largest over the weights of the largest difference divided by the largest value of that
weight's gradient; `worst_weight`; `gradient_error_of_largest`, the same divided by the largest value of all gradients;
`loss` and `loss_error`; and the arguments.

The weights are those of a new model with noise of `--perturbation` added. In a new model tokens of the same bucket have
nearly equal values, and then the gradient of the queries is a small difference of large numbers: at 16,384 tokens and
two layers it is 100,000 times smaller than the others, and even the unblocked gradient in float32 has a relative error
of 2e-5 against float64.
"""

import json
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.reference import model as reference_model
from benchmarks.reference.check import relative_error
from configs import million_tokens
from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import replay
from trainer.data import datasets
from trainer.model import build_model

_LENGTH = flags.DEFINE_integer("length", 65536, "Tokens.", lower_bound=2)
_LAYERS = flags.DEFINE_integer("layers", 12, "Layers.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 256, "Width; heads of 64.", lower_bound=64)
_PERTURBATION = flags.DEFINE_float("perturbation", 0.1, "Deviation of the noise on the weights.", lower_bound=0.0)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "float64"], "Dtype of the unblocked gradient.")


def compare(model: ReformerCausalLM, ids: np.ndarray, dtype: str = "float32") -> dict[str, Any]:
    """Compares the gradient of the mean loss with the unblocked one.

    Args:
        model: as `reference_model.loss_and_gradients` takes it.
        ids: integers `[B, L + 1]`.
        dtype: of the unblocked gradient.

    Returns:
        `gradient_error`, `worst_weight`, `gradient_error_of_largest`, `loss`, `loss_error` (relative), `seconds` and
        `seconds_unblocked`.
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


def main(argv: list[str]) -> None:
    """Compares and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    config = million_tokens.get_config()
    config.train.precision = "float32"  # Half precision would hide the differences.
    pattern = config.model.attention_layers
    config.model.num_layers = _LAYERS.value
    config.model.attention_layers = tuple(pattern[index % len(pattern)] for index in range(_LAYERS.value))
    config.model.hidden_dim, config.model.intermediate_dim = _WIDTH.value, 4 * _WIDTH.value
    config.model.num_heads = _WIDTH.value // config.model.key_dim
    examples = datasets.Examples(datasets.load_corpus(config.data).train, _LENGTH.value, config.data.layout, count=1)
    keras.utils.set_random_seed(0)
    model, stream = build_model(config), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + _PERTURBATION.value * stream.normal(size=variable.shape))
    result = compare(model, examples[0][0][None], _DTYPE.value)
    arguments = {name: flags.FLAGS[name].value for name in ("length", "layers", "width", "perturbation", "dtype")}
    print(json.dumps({**result, **arguments}))


if __name__ == "__main__":
    app.run(main)

"""Time and memory of one training step, forward and backward, of a causal language model over 256 byte values.

    python -m benchmarks.train_step --attention=lsh --length=16384 --layers=6

The last line printed is one JSON object. `peak_mib` is the largest resident size of the process so far, `base_mib` its
resident size after one step at length 256, before the long ones; what a step needs is their difference. Of it,
4 bytes a parameter are gradients, and `kept_buckets_mib` the integer buckets that a reversible stack keeps.

With `--check`, the model's first LSH layer is compared afterwards with attention that is not blocked, on as many random
inputs and with the same buckets (see `benchmarks.check_core`): `check_output_error` and `check_gradient_error`.
"""

import json
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import check_core, memory
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.layers.attention.windowed import WINDOWS
from reformer_tf.models import ReformerCausalLM

_SHORT = 256

_ATTENTION = flags.DEFINE_list("attention", ["lsh"], f"Kinds, repeated over the layers: {sorted(ATTENTION_LAYERS)}.")
_LENGTH = flags.DEFINE_integer("length", 16384, "Tokens of a sequence.", lower_bound=1)
_LAYERS = flags.DEFINE_integer("layers", 6, "Layers.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 256, "Width of the model.", lower_bound=1)
_HEADS = flags.DEFINE_integer("heads", 4, "Attention heads; key_dim is width / heads.", lower_bound=1)
_NUM_HASHES = flags.DEFINE_integer("num_hashes", 2, "Hash rounds.", lower_bound=1)
_CHUNK_LENGTH = flags.DEFINE_integer("chunk_length", 64, "Reach of a window.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 1, "Sequences.", lower_bound=1)
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Dtype policy.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed, after one that is not.", lower_bound=1)
_LOCAL_ROUND = flags.DEFINE_bool("local_round", False, "Whether LSH layers have a local round too.")
_WINDOW = flags.DEFINE_enum("window", "bucket", WINDOWS, "Windows of LSH layers.")
_REVERSIBLE = flags.DEFINE_bool("reversible", True, "Whether the stack saves memory.")
_JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Whether XLA compiles the step.")
_CHECK = flags.DEFINE_bool("check", False, "Whether an LSH layer is checked against the unblocked core.")


def measure() -> dict:
    """Builds the model, runs the steps, and returns what the last line reports."""
    model = ReformerCausalLM(
        vocabulary_size=256,
        max_sequence_length=_LENGTH.value,
        num_layers=_LAYERS.value,
        hidden_dim=_WIDTH.value,
        num_heads=_HEADS.value,
        key_dim=_WIDTH.value // _HEADS.value,
        intermediate_dim=4 * _WIDTH.value,
        attention_layers=[_ATTENTION.value[i % len(_ATTENTION.value)] for i in range(_LAYERS.value)],
        chunk_length=_CHUNK_LENGTH.value,
        num_hashes=_NUM_HASHES.value,
        reversible=_REVERSIBLE.value,
        local_round=_LOCAL_ROUND.value,
        attention_options={"lsh": {"window": _WINDOW.value}} if "lsh" in _ATTENTION.value else None,
        dtype=_PRECISION.value,
    )
    variables = model.trainable_variables

    # One program for all lengths, so that the base holds it; XLA needs a static length.
    signature = [tf.TensorSpec([_BATCH.value, None], tf.int32), tf.TensorSpec([2], tf.int32)]

    @tf.function(
        input_signature=None if _JIT_COMPILE.value else signature, jit_compile=_JIT_COMPILE.value, autograph=False
    )
    def step(ids: tf.Tensor, seed: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.token_losses(ids, training=True, seed=seed))
        gradients = tape.gradient(loss, variables)
        return loss, [tf.convert_to_tensor(g) for g in gradients]

    def timed(ids: np.ndarray, index: int) -> float:
        start = time.perf_counter()
        loss, _ = step(tf.constant(ids), tf.constant([0, index]))
        if not np.isfinite(loss.numpy()):
            raise FloatingPointError(f"The loss of step {index} is {loss.numpy()}.")
        return time.perf_counter() - start

    stream = np.random.default_rng(0)
    ids = stream.integers(0, 256, (_BATCH.value, _LENGTH.value + 1), dtype=np.int32)
    timed(ids[:, : min(_SHORT, _LENGTH.value) + 1], 0)
    base = memory.resident_mib()
    timed(ids, 1)
    seconds = [timed(ids, 2 + index) for index in range(_REPEAT.value)]
    lsh_layers = sum(_ATTENTION.value[i % len(_ATTENTION.value)] == "lsh" for i in range(_LAYERS.value))
    kept = 4 * lsh_layers * _BATCH.value * _HEADS.value * _NUM_HASHES.value * _LENGTH.value
    median = statistics.median(seconds)
    peak = memory.peak_mib()
    errors: dict[str, float] = {}
    if _CHECK.value:
        errors = check_core.check(_lsh_layer(model), _LENGTH.value, _BATCH.value, _JIT_COMPILE.value)
    return {
        "tokens_per_s": _BATCH.value * _LENGTH.value / median,
        "step_s": median,
        "peak_mib": peak,
        "base_mib": base,
        "kept_buckets_mib": kept / 2**20 if _REVERSIBLE.value else 0.0,
        "parameters": int(sum(np.prod(v.shape) for v in variables)),
        **errors,
        **{name: flags.FLAGS[name].value for name in _ARGUMENTS},
    }


def _lsh_layer(model: ReformerCausalLM) -> LSHSelfAttention:
    """The first of the model."""
    branches = model.backbone.get_layer("stack").branches
    return next(branch.layer for branch in branches if isinstance(branch.layer, LSHSelfAttention))


_ARGUMENTS = [
    "attention",
    "length",
    "layers",
    "width",
    "heads",
    "num_hashes",
    "chunk_length",
    "batch",
    "precision",
    "repeat",
    "local_round",
    "window",
    "reversible",
    "jit_compile",
    "check",
]


def main(argv: list[str]) -> None:
    """Checks the arguments, measures, and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if _WIDTH.value % _HEADS.value:
        raise app.UsageError(f"--width must be a multiple of --heads. Received: {_WIDTH.value}, {_HEADS.value}")
    unknown = [kind for kind in _ATTENTION.value if kind not in ATTENTION_LAYERS]
    if unknown:
        raise app.UsageError(f"--attention must name kinds among {sorted(ATTENTION_LAYERS)}. Received: {unknown}")
    if _CHECK.value and "lsh" not in _ATTENTION.value[: _LAYERS.value]:
        raise app.UsageError(f"--check needs a layer of LSH attention. Received: --attention={_ATTENTION.value}")
    print(json.dumps(measure()))


if __name__ == "__main__":
    app.run(main)

"""The training step of the benchmarks: its flags, the model, and the step as a function.

A causal language model over 256 byte values, with gelu, a feed-forward layer of four times the width, axial positions
and the mean cross-entropy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, our_model
from benchmarks.measuring.steps import Step
from compilers.steps.step_to_compile import StepToCompile
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.layers.attention.windowed import WINDOWS
from reformer_tf.models import ReformerCausalLM

ATTENTION = flags.DEFINE_list("attention", ["lsh"], f"Kinds, repeated over the layers: {sorted(ATTENTION_LAYERS)}.")
LENGTH = command_line.define("length")
LAYERS = command_line.define("layers")
WIDTH = command_line.define("width")
HEADS = command_line.define("heads")
NUM_HASHES = command_line.define("num_hashes")
CHUNK_LENGTH = command_line.define("chunk_length")
BATCH = command_line.define("batch")
PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Dtype policy.")
REPEAT = flags.DEFINE_integer("repeat", 3, "Measured repetitions, after one that is not measured.", lower_bound=1)
LOCAL_ROUND = flags.DEFINE_bool("local_round", False, "Whether LSH layers have a local round too.")
WINDOW = flags.DEFINE_enum("window", "bucket", WINDOWS, "Windows of LSH layers.")
REVERSIBLE = flags.DEFINE_bool("reversible", True, "Whether the stack saves memory.")
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Whether XLA compiles the step.")

_SIZES = (LENGTH, LAYERS, WIDTH, HEADS, NUM_HASHES, CHUNK_LENGTH, BATCH)
_OPTIONS = (PRECISION, REPEAT, LOCAL_ROUND, WINDOW, REVERSIBLE, JIT_COMPILE)


def check() -> None:
    """Checks flags beyond what their definitions check.

    Raises:
        ValueError: for a width that heads do not divide, or unknown kinds of attention.
    """
    command_line.check_heads()
    unknown = [kind for kind in ATTENTION.value if kind not in ATTENTION_LAYERS]
    if unknown:
        raise ValueError(f"--attention must name kinds among {sorted(ATTENTION_LAYERS)}. Received: {unknown}")


def kinds() -> list[str]:
    """The kind of attention of each layer."""
    return [ATTENTION.value[i % len(ATTENTION.value)] for i in range(LAYERS.value)]


def build_model() -> ReformerCausalLM:
    """The model that the flags describe."""
    return our_model.build(
        command_line.sizes(),
        attention_layers=kinds(),
        reversible=REVERSIBLE.value,
        local_round=LOCAL_ROUND.value,
        attention_options={"lsh": {"window": WINDOW.value}} if "lsh" in ATTENTION.value else None,
        dtype=PRECISION.value,
    )


def signature(length: int | None) -> list[tf.TensorSpec]:
    """The inputs of a step: ids with their targets, int32 `[B, length + 1]`, and a seed, int32 `[2]`."""
    return [
        tf.TensorSpec([BATCH.value, None if length is None else length + 1], tf.int32),
        tf.TensorSpec([2], tf.int32),
    ]


def build_step(model: ReformerCausalLM) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]:
    """Forward and backward as a function of ids and seed: the mean loss, and the gradients of all weights."""
    variables = model.trainable_variables

    def step(ids: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.token_losses(ids, training=True, seed=seed))
        return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

    return step


def to_compile(model: ReformerCausalLM) -> StepToCompile:
    """The step of static shapes that XLA compiles as a whole."""
    function = tf.function(build_step(model), jit_compile=True, autograph=False)
    return StepToCompile(function, signature(LENGTH.value), facts(model))


def run(step: Callable[..., Any]) -> Step:
    """A step as a function of ids and the seed's last number, which returns the mean loss."""
    return lambda ids, index: float(step(tf.constant(ids), tf.constant([0, index]))[0])


def facts(model: ReformerCausalLM) -> dict[str, Any]:
    """The arguments, and what follows from them.

    Returns:
        `kept_buckets_mib`, the size of the integer buckets that a reversible stack saves for its gradient;
        `parameters`, the number of trainable weights; and the values of all flags of this module.
    """
    buckets = kinds().count("lsh") * BATCH.value * HEADS.value * NUM_HASHES.value * LENGTH.value
    return {
        "kept_buckets_mib": 4 * buckets * REVERSIBLE.value / 2**20,
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        **{flag.name: flag.value for flag in (ATTENTION, *_SIZES, *_OPTIONS)},
    }

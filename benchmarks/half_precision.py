"""How far the gradients of a half-precision model are from those of float32, weight by weight, over the length.

    python -m benchmarks.half_precision --lengths=4096,65536 --precisions=mixed_bfloat16,mixed_float16

A causal language model of text is differentiated in float32, and in half precision with the same weights, seed and
buckets, once as it is and once with the sums that make its weights' gradients in float64: rounding stays the same as
sequences grow, while sums in half precision would not. A weight counts if its gradient is at least a thousandth of the
largest; its error is the norm of the difference over the norm of the float32 gradient. The last line is one JSON
object; `growth` is the largest ratio of a weight's error at the last length to that at the first, `beyond_float64_sums`
the largest excess of an error over that with sums in float64.
"""

import contextlib
import json
import pathlib
import sysconfig
from collections.abc import Iterator, Sequence
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import replay, sums

LENGTHS = flags.DEFINE_list("lengths", ["4096", "65536"], "Tokens of a sequence.")
PRECISIONS = flags.DEFINE_list("precisions", ["mixed_bfloat16", "mixed_float16"], "Dtype policies.")
LAYERS = flags.DEFINE_integer("layers", 12, "Blocks.", lower_bound=1)
WIDTH = flags.DEFINE_integer("width", 256, "Width of a stream; heads have 64.", lower_bound=64)
ATTENTION = flags.DEFINE_list("attention", ["local", "lsh"], "Kinds, repeated over the layers.")
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Whether XLA compiles the step.")
BIASES = flags.DEFINE_bool("biases", True, "Whether the projections of attention have biases.")
# The usual loss scale to begin with; float16 alone needs one.
LOSS_SCALE = 2.0**15

_VOCABULARY = 257
_SEED = (0, 1)


def build(dtype: str, layers: int, width: int, length: int, kinds: Sequence[str], biases: bool) -> ReformerCausalLM:
    """The model; those of different dtypes start with the same weights."""
    keras.utils.set_random_seed(0)
    return ReformerCausalLM(
        vocabulary_size=_VOCABULARY,
        max_sequence_length=length,
        num_layers=layers,
        hidden_dim=width,
        num_heads=width // 64,
        key_dim=64,
        intermediate_dim=4 * width,
        attention_layers=[kinds[i % len(kinds)] for i in range(layers)],
        num_hashes=2,
        tie_embeddings=False,
        attention_options={kind: {"use_bias": biases} for kind in set(kinds)},
        dtype=dtype,
    )


def gradients(
    model: ReformerCausalLM, ids: np.ndarray, buckets: Sequence[np.ndarray] | None, jit_compile: bool, scale: float
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """The gradient of the mean loss by each weight, and the buckets.

    Args:
        model: the model.
        ids: int32 `[1, L + 1]`.
        buckets: of each hashing layer; hashed if None.
        jit_compile: whether XLA compiles the step.
        scale: of the loss while it is differentiated.
    """
    variables = model.trainable_variables

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(ids: tf.Tensor, buckets: Sequence[tf.Tensor] | None) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        replaying = contextlib.nullcontext() if buckets is None else replay.replaying(buckets)
        with tf.GradientTape() as tape, replay.recording() as recorded, replaying:
            losses = model.token_losses(ids, training=True, seed=tf.constant(_SEED))
            loss = tf.reduce_mean(losses) * scale
        found = tape.gradient(loss, variables)
        return [tf.convert_to_tensor(x) / scale for x in found], recorded

    found, recorded = step(tf.constant(ids), None if buckets is None else [tf.constant(x) for x in buckets])
    return {v.path: np.asarray(x, np.float64) for v, x in zip(variables, found, strict=True)}, [
        np.asarray(x) for x in recorded
    ]


@contextlib.contextmanager
def float64_sums() -> Iterator[None]:
    """Makes the sums over tokens in the gradients of weights in float64; all else stays as it is."""

    def matmul(x: tf.Tensor, kernel: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
        @tf.custom_gradient
        def apply(x: tf.Tensor, kernel: tf.Tensor) -> tuple:
            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                d_x = tf.matmul(upstream, tf.cast(kernel, x.dtype), transpose_b=not transpose_b)
                factors = [tf.cast(x, tf.float64), tf.cast(upstream, tf.float64)]
                d_kernel = tf.matmul(*(factors[::-1] if transpose_b else factors), transpose_a=True)
                return d_x, tf.cast(d_kernel, kernel.dtype)

            return tf.matmul(x, tf.cast(kernel, x.dtype), transpose_b=transpose_b), gradient

        return apply(x, kernel)

    def over_tokens(x: tf.Tensor, rank: int) -> tf.Tensor:
        return tf.cast(tf.reduce_sum(tf.cast(x, tf.float64), axis=range(x.shape.rank - rank)), tf.float32)

    def look_up(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(tf.cast(table, tf.float64), ids), tf.float32)

    with mock.patch.multiple(sums, matmul=matmul, over_tokens=over_tokens, look_up=look_up):
        yield


def text(length: int) -> np.ndarray:
    """Bytes of the standard library's sources after the boundary of a document, int32 `[1, length + 1]`."""
    found: list[int] = [256]
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        found += path.read_bytes()
        if len(found) > length:
            break
    return np.array([found[: length + 1]], np.int32)


def counting(exact: dict[str, np.ndarray]) -> list[str]:
    """The weights whose gradient is at least a thousandth of the largest, by its norm or its largest number."""
    sizes = [{name: size(x) for name, x in exact.items()} for size in (np.linalg.norm, lambda x: np.abs(x).max())]
    return [name for name in exact if any(of[name] >= 1e-3 * max(of.values()) for of in sizes)]


def errors(exact: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, float]:
    """The relative error of each weight's gradient."""
    return {name: float(np.linalg.norm(found[name] - x) / np.linalg.norm(x)) for name, x in exact.items()}


def measure(length: int, longest: int, precisions: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """The error of each weight that counts, by precision and by the sums (`"as_it_is"`, `"float64_sums"`).

    Args:
        length: of the sequence.
        longest: the longest that the model takes.
        precisions: dtype policies.
    """
    ids = text(length)

    def run(dtype: str, buckets: list[np.ndarray] | None) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        model = build(dtype, LAYERS.value, WIDTH.value, longest, ATTENTION.value, BIASES.value)
        scale = LOSS_SCALE if dtype == "mixed_float16" else 1.0
        return gradients(model, ids, buckets, JIT_COMPILE.value, scale)

    exact, buckets = run("float32", None)
    names = counting(exact)
    results = {}
    for dtype in precisions:
        as_it_is, _ = run(dtype, buckets)
        with float64_sums():
            reference, _ = run(dtype, buckets)
        found = {"as_it_is": errors(exact, as_it_is), "float64_sums": errors(exact, reference)}
        results[dtype] = {kind: {name: of[name] for name in names} for kind, of in found.items()}
        worst = {kind: max(of.values()) for kind, of in results[dtype].items()}
        print(f"{length} tokens, {dtype}: {len(names)} weights count, largest errors {worst}", flush=True)
    return results


def main(argv: list[str]) -> None:
    """Measures all lengths, prints the weights whose errors grow most and the summary."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    lengths = [int(x) for x in LENGTHS.value]
    measured = {length: measure(length, max(lengths), PRECISIONS.value) for length in lengths}
    summary = {}
    for dtype in PRECISIONS.value:
        first, last = (measured[length][dtype] for length in (lengths[0], lengths[-1]))
        both = [name for name in first["as_it_is"] if name in last["as_it_is"]]
        growths = {name: last["as_it_is"][name] / first["as_it_is"][name] for name in both}
        for name in sorted(both, key=lambda name: -growths[name])[:10]:
            row = [f"{of[kind][name]:.5f}" for of in (first, last) for kind in ("as_it_is", "float64_sums")]
            print(dtype, f"{growths[name]:.3f}", *row, name)
        summary[dtype] = {
            "weights": len(both),
            "largest_error": {length: max(measured[length][dtype]["as_it_is"].values()) for length in lengths},
            "growth": max(growths.values()),
            "beyond_float64_sums": max(
                x - of[dtype]["float64_sums"][name]
                for of in measured.values()
                for name, x in of[dtype]["as_it_is"].items()
            ),
        }
    print(json.dumps({"jit_compile": JIT_COMPILE.value, "layers": LAYERS.value, "width": WIDTH.value, **summary}))


if __name__ == "__main__":
    app.run(main)

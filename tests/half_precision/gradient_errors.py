"""Gradients of a model in half precision compared with float32, and with half precision and sums in float64."""

import contextlib
import pathlib
import sysconfig
from collections.abc import Iterator, Sequence
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import replay, sums

_VOCABULARY = 257
_SEED = (0, 1)


def build(dtype: str, layers: int, width: int, length: int, kinds: Sequence[str], biases: bool) -> ReformerCausalLM:
    """The model; models of different dtypes start with the same weights."""
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
        buckets: of each hashing layer; the layers hash if None.
        jit_compile: whether XLA compiles the step.
        scale: the factor of the loss while it is differentiated.
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
    """Computes the sums over tokens in the gradients of weights in float64, and everything else as usual."""

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


def product_rounding(dtype: str, jit_compile: bool) -> float:
    """The relative error of the one rounding with which a matrix product ends, measured on sums over random tokens.

    It is the most by which sums in float32 may be worse than sums in float64, and depends on the machine: where oneDNN
    has no kernel for bfloat16, TensorFlow's own rounds toward zero, with an error twice as large.

    Args:
        dtype: dtype policy.
        jit_compile: whether XLA compiles the product.
    """
    rng = np.random.default_rng(0)
    tokens = [tf.cast(rng.normal(size=[4096, 64]), keras.DTypePolicy(dtype).compute_dtype) for _ in range(2)]
    exact = tf.matmul(*(tf.cast(x, tf.float64) for x in tokens), transpose_a=True)
    multiply = tf.function(lambda x, y: tf.matmul(x, y, transpose_a=True), jit_compile=jit_compile, autograph=False)
    return float(tf.norm(tf.cast(multiply(*tokens), tf.float64) - exact) / tf.norm(exact))


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
    return [name for name in exact if any(by_name[name] >= 1e-3 * max(by_name.values()) for by_name in sizes)]


def errors(exact: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, float]:
    """The relative error of each weight's gradient."""
    return {name: float(np.linalg.norm(found[name] - x) / np.linalg.norm(x)) for name, x in exact.items()}

"""Limits of the machine, as TensorFlow and numpy reach them: operations, bytes and function values a second.

TensorFlow's operations are measured both by themselves and compiled by XLA, and the better result counts: the library's
step has both.
"""

import concurrent.futures
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from reformer_tf.layers import activations
from reformer_tf.ops import bias_activation
from reformer_tf.ops.execution import compiled_functions

# A batch of blocks that fits a cache of some tens of MiB, like the groups of the attention core.
_BLOCKS = 128
_ELEMENTS = 2**21

Timer = Callable[[Callable[[], object]], float]


class Limits(NamedTuple):
    """Rates a second.

    Attributes:
        matmul_flops: by dtype name, of the product of two large square matrices.
        block_flops: by dtype name, of a batch of products of blocks of queries and windows of keys.
        bytes: to and from memory, of arrays larger than caches.
        exponentials: values of exp in float32.
        gelus: by dtype name, values of gelu.
    """

    matmul_flops: dict[str, float]
    block_flops: dict[str, float]
    bytes: float
    exponentials: float
    gelus: dict[str, float]


def measure(matmul_size: int, array_mib: int, block: tuple[int, int, int], seconds: Timer) -> Limits:
    """Measures all limits.

    Args:
        matmul_size: rows and columns of the large matrices.
        array_mib: size of each array that is moved.
        block: queries, channels and keys of a block.
        seconds: measures how long a call takes.
    """
    dtypes = (tf.float32, tf.bfloat16)
    queries, channels, keys = block
    return Limits(
        matmul_flops={t.name: _matmul(t, (matmul_size, matmul_size), matmul_size, seconds) for t in dtypes},
        block_flops={t.name: _matmul(t, (_BLOCKS, queries, channels), keys, seconds) for t in dtypes},
        bytes=_bandwidth(array_mib, seconds),
        exponentials=_elements(tf.exp, tf.float32, seconds),
        gelus={t.name: _elements(_gelu, t, seconds) for t in dtypes},
    )


def _matmul(dtype: tf.DType, left: tuple[int, ...], columns: int, seconds: Timer) -> float:
    """Operations a second of `[..., Q, D]` times `[..., D, columns]`."""
    right = (*left[:-2], left[-1], columns)
    arguments = [tf.cast(tf.random.normal(shape), dtype) for shape in (left, right)]
    return 2 * int(np.prod(left)) * columns / _seconds(tf.matmul, arguments, seconds)


def _elements(function: Callable[[tf.Tensor], tf.Tensor], dtype: tf.DType, seconds: Timer) -> float:
    return _ELEMENTS / _seconds(function, [tf.cast(tf.random.normal([_ELEMENTS]), dtype)], seconds)


def _gelu(x: tf.Tensor) -> tf.Tensor:
    """As feed-forward layers compute it in training."""
    with compiled_functions.fusing(True):
        return bias_activation.biased(activations.get("gelu"), x)


def _seconds(function: Callable, arguments: list[tf.Tensor], seconds: Timer) -> float:
    def taken(jit_compile: bool) -> float:
        traced = tf.function(function, autograph=False, jit_compile=jit_compile)
        return seconds(lambda: traced(*arguments))

    return min(taken(False), taken(True))


def _bandwidth(array_mib: int, seconds: Timer) -> float:
    """The better rate of copying and of adding two arrays, with all cores; written bytes count once."""
    cores = len(os.sched_getaffinity(0))
    size = array_mib * 2**20 // 4
    first, second, result = (np.ones(size, np.float32) for _ in range(3))
    parts = [slice(size * i // cores, size * (i + 1) // cores) for i in range(cores)]
    with concurrent.futures.ThreadPoolExecutor(cores) as threads:

        def copy() -> None:
            list(threads.map(lambda part: np.copyto(result[part], first[part]), parts))

        def add() -> None:
            list(threads.map(lambda part: np.add(first[part], second[part], out=result[part]), parts))

        return max(2 * result.nbytes / seconds(copy), 3 * result.nbytes / seconds(add))

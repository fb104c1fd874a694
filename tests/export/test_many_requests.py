"""Many requests of mixed shapes from several threads: none fails or disturbs another, and memory does not grow."""

import concurrent.futures
import gc
import pathlib
import random

import numpy as np
import pytest
import tensorflow as tf

_THREADS, _REQUESTS, _COMPARED = 8, 1000, 100
_SIGNATURES = ("score", "score_ids", "predict", "embed", "generate")


def _request(module, seed):
    """Makes one random request, decided by the seed, and returns the answer."""
    rng = np.random.default_rng(seed)
    name = _SIGNATURES[seed % len(_SIGNATURES)]
    signature = module.signatures[name]
    rows, length = int(rng.integers(1, 5)), int(rng.choice([2, 5, 70, 300, 1024]))
    if name not in ("score", "generate"):
        ids = rng.integers(0, 257, [rows, length]).astype(np.int32)
        for row, real in zip(ids, rng.integers(2, length + 1, rows), strict=True):
            row[real:] = -1
        outputs = signature(ids=tf.constant(ids))
    else:
        lengths = [length, *rng.integers(1, length + 1, rows - 1)]
        inputs = {"text": tf.constant([rng.integers(0, 256, n, np.uint8).tobytes() for n in lengths])}
        if name == "generate":
            inputs["max_new_tokens"] = tf.constant(rng.integers(1, 9, rows), tf.int32)
            inputs["temperature"] = tf.constant(rng.choice([0.0, 0.7, 1.0], rows), tf.float32)
            inputs["top_k"] = tf.constant(rng.choice([0, 5], rows), tf.int32)
            inputs["top_p"] = tf.constant(rng.choice([0.5, 1.0], rows), tf.float32)
            inputs["seed"] = tf.constant(rng.integers(0, 100, rows), tf.int32)
        outputs = signature(**inputs)
    assert all(value.shape[0] == rows for value in outputs.values())
    return {name: value.numpy() for name, value in outputs.items()}


def _same(answer, other):
    """Whether two answers are equal up to rounding, which the number of free threads may change."""
    return answer.keys() == other.keys() and all(
        np.array_equal(value, other[name]) if value.dtype == object else np.allclose(value, other[name], atol=1e-4)
        for name, value in answer.items()
    )


def _resident_mib():
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.slow
def test_a_thousand_requests_from_eight_threads(loaded):
    seeds = random.Random(0).sample(range(10**6), _REQUESTS)
    references = {seed: _request(loaded.module, seed) for seed in seeds[:_COMPARED]}
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:

        def succeeds(seed):
            answer = _request(loaded.module, seed)
            return seed not in references or _same(answer, references[seed])

        assert all(threads.map(succeeds, range(300)))  # Every signature and shape.
        before = _resident_mib()
        assert all(threads.map(succeeds, seeds))
        after = _resident_mib()
    print(f"{_REQUESTS} requests: {before:.0f} MiB before, {after:.0f} MiB after")
    assert after < 1.05 * before

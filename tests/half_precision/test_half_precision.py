"""The errors of half precision at small sizes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from reformer_tf.ops import sums
from tests.half_precision import gradient_errors

LENGTH = 512


def _gradients(dtype, buckets=None):
    model = gradient_errors.build(dtype, layers=1, width=64, length=LENGTH, kinds=["lsh"], biases=True)
    return gradient_errors.gradients(model, gradient_errors.text(LENGTH), buckets, jit_compile=False, scale=1.0)


@pytest.fixture(scope="module")
def exact():
    return _gradients("float32")


def _largest_error(exact, found):
    errors = gradient_errors.errors(exact, found)
    return max(errors[name] for name in gradient_errors.counting(exact))


@pytest.mark.slow
def test_sums_in_float64_change_little(exact):
    gradients, buckets = exact
    as_it_is, _ = _gradients("mixed_bfloat16", buckets)
    with gradient_errors.float64_sums():
        reference, _ = _gradients("mixed_bfloat16", buckets)
    one, other = (_largest_error(gradients, found) for found in (as_it_is, reference))
    assert 1e-4 < other < 0.05
    assert one < other + gradient_errors.product_rounding("mixed_bfloat16", jit_compile=False)


def test_a_sum_in_half_precision_is_found(exact, monkeypatch):
    gradients, buckets = exact
    monkeypatch.setattr(sums, "bias_add", sums._plain_bias_add)
    found, _ = _gradients("mixed_bfloat16", buckets)
    errors = gradient_errors.errors(gradients, found)
    (wrong,) = [name for name in gradient_errors.counting(gradients) if name.endswith("outer_bias")]
    assert errors[wrong] > 0.02


@pytest.mark.parametrize(("dtype", "digits"), [("mixed_bfloat16", 7), ("mixed_float16", 10)])
def test_a_product_is_rounded_once(dtype, digits):
    # Relative to a unit in the last digit of 1: 0.21 to the nearest number, 0.43 toward zero.
    assert 0.2 < gradient_errors.product_rounding(dtype, jit_compile=False) * 2**digits < 0.45


def test_text_begins_with_the_boundary():
    ids = gradient_errors.text(5000)
    assert ids.shape == (1, 5001) and ids[0, 0] == 256
    assert np.all((ids[0, 1:] >= 0) & (ids[0, 1:] < 256))


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_errors_do_not_grow_with_the_length(compiled):
    options = ["--lengths=4096,32768", "--layers=4", f"--jit_compile={compiled}"]
    command = [sys.executable, "-m", "tests.half_precision", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout.splitlines()[-1])
    for precision in ("mixed_bfloat16", "mixed_float16"):
        assert measured[precision]["weights"] > 40
        assert measured[precision]["growth"] < 1.2
        assert measured[precision]["beyond_float64_sums"] < measured[precision]["product_rounding"]

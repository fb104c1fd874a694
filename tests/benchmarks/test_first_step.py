"""The benchmark of the first step of a small model."""

import pytest

from benchmarks import first_step_point


@pytest.mark.parametrize(
    "kind", ["lsh", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("multi_head", "local", "full"))]
)
def test_a_tiny_measurement(kind):
    seconds = first_step_point.measure(kind, length=3, batch=2, eager_length=5, steps=1)
    assert all(value >= 0.0 for value in seconds.values())
    assert seconds["first_step"] > seconds["step"]

"""The comparison of a step with that of the CPU."""

import numpy as np
import pytest

from compilers.runs import comparison

EXPECTED = [np.float32(2.0), np.array([3.0, 0.0], np.float32), np.array([[4.0]], np.float32)]


def test_errors_are_relative():
    found = [np.float32(2.5), np.array([3.0, 0.3], np.float32), np.array([[4.4]], np.float32)]
    errors = comparison.errors(found, EXPECTED)
    assert errors == {"loss_error": 0.25, "gradient_error": pytest.approx(0.1), "passed": False}


@pytest.mark.parametrize(("loss", "passed"), [(2.0, True), (2.0001, True), (2.001, False), (np.nan, False)])
def test_what_passes(loss, passed):
    assert comparison.errors([np.float32(loss), *EXPECTED[1:]], EXPECTED)["passed"] is passed


def test_saved_and_loaded(tmp_path):
    arguments = [np.arange(index, dtype=np.int32) for index in range(12)]  # In sequence, not by the names' letters.
    comparison.save(tmp_path / "check.npz", arguments, EXPECTED)
    for saved, loaded in zip((arguments, EXPECTED), comparison.load(tmp_path / "check.npz"), strict=True):
        for x, y in zip(saved, loaded, strict=True):
            np.testing.assert_array_equal(x, y)
            assert x.dtype == y.dtype

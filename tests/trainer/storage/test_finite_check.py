"""Arrays with a number that is not finite at any index are found."""

import ml_dtypes
import numpy as np
import pytest

from trainer.storage import finite_check
from trainer.storage.checkpoints import Checkpoints

LENGTH = 3 * finite_check._CHUNK + 5


def test_finite_arrays_of_every_kind():
    finite_check.check(
        {
            "largest": np.array([3.4e38, -3.4e38], np.float32),
            "a scalar": np.array(1.0),
            "nothing": np.zeros([0, 3], np.float32),
            "a count": np.array(2**62),
            "a seed": np.array([2**32 - 1], np.uint32),
            "a flag": np.array([True]),
            "half": np.ones([2, 3], ml_dtypes.bfloat16),
            "strided": np.ones([4, 6], np.float16)[::2, ::3],
        }
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_each_kind_of_number(dtype, value):
    with pytest.raises(finite_check.NotFiniteArraysError, match=r"1 of 2 arrays are not finite \(bad\)"):
        finite_check.check({"good": np.ones(3), "bad": np.array([[1.0, value]], dtype)})


@pytest.mark.parametrize("position", [0, finite_check._CHUNK - 1, finite_check._CHUNK, LENGTH - 1])
def test_each_position(position):
    array = np.zeros(LENGTH, np.float32)
    array[position] = np.nan
    with pytest.raises(finite_check.NotFiniteArraysError):
        finite_check.check({"bad": array})


def test_a_few_are_named():
    arrays = {f"array {number}": np.array([np.nan]) for number in range(9)}
    with pytest.raises(finite_check.NotFiniteArraysError, match=r"^9 of 9 .* \(array 0, .*, array 4, \.\.\.\)$"):
        finite_check.check(arrays)


def test_no_checkpoint_is_made_of_them(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"weight": np.ones(3)}, {})
    with pytest.raises(ValueError, match="1 of 1 arrays are not finite"):
        checkpoints.save(2, {"weight": np.array([1.0, np.inf])}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]

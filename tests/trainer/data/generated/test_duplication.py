"""The duplication task."""

import numpy as np
import pytest

from trainer.data.generated.duplication import duplication


def test_both_halves_are_a_separator_and_the_word():
    ids, scored = duplication(count=50, length=12, symbols=9, seed=3)
    assert ids.shape == (50, 12) and ids.dtype == np.uint16
    np.testing.assert_array_equal(ids[:, :6], ids[:, 6:])
    np.testing.assert_array_equal(ids == 0, np.tile(np.arange(12) % 6 == 0, (50, 1)))
    assert np.flatnonzero(scored).tolist() == [7, 8, 9, 10, 11]


def test_every_symbol_is_drawn_equally_often():
    ids, _ = duplication(count=2000, length=256, symbols=127)
    counts = np.bincount(ids[:, 1:128].ravel(), minlength=128)
    assert counts.size == 128 and counts[0] == 0
    expected = 2000 * 127 / 127
    assert ((counts[1:] - expected) ** 2).sum() / expected < 190  # chi-squared of 126 degrees: 126 +- 16


def test_the_count_does_not_change_earlier_examples():
    many, _ = duplication(count=100, length=16, symbols=50, seed=7)
    few, _ = duplication(count=33, length=16, symbols=50, seed=7)
    np.testing.assert_array_equal(many[:33], few)


def test_parts_and_seeds_differ():
    made = [duplication(100, 32, 50, seed, part)[0] for seed in (0, 1) for part in ("train", "validation", "test")]
    assert len({row.tobytes() for ids in made for row in ids}) == 600


def test_the_shortest():
    ids, scored = duplication(count=3, length=4, symbols=1)
    assert ids.tolist() == [[0, 1, 0, 1]] * 3 and scored.tolist() == [False, False, False, True]
    assert duplication(count=0, length=4)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "`count` must be an integer of at least 0. Received: count=-1"),
        ({"length": 7}, "`length` must be even: both halves are 0 and w. Received: length=7"),
        ({"length": 2}, "`length` must be an integer of at least 4. Received: length=2"),
        ({"symbols": 0}, "`symbols` must be an integer from 1 to 65535. Received: symbols=0"),
        ({"part": "all"}, "`part` must be one of"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        duplication(**{"count": 1, **arguments})

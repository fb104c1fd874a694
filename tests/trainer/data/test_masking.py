"""Which tokens are hidden follows BERT's rule, and from the random bits of a row alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests.testing import masking_reference
from trainer.data.masking import Masking
from trainer.data.shuffle import random_bits

ROWS, LENGTH, BOUNDARY = 200, 500, 256


def _draws(rows, seed=0):
    return random_bits(tf.range(rows, dtype=tf.int64), seed)


@pytest.fixture(scope="module")
def ids():
    """Rows of letters with a boundary now and then."""
    ids = np.random.default_rng(0).integers(97, 123, [ROWS, LENGTH]).astype(np.int32)
    ids[:, ::50] = BOUNDARY
    return ids


@pytest.fixture(scope="module")
def mask():
    """Rows of all lengths."""
    return np.arange(LENGTH) < np.linspace(0, LENGTH, ROWS)[:, None]


@pytest.fixture(scope="module")
def hidden(ids, mask):
    return [part.numpy() for part in Masking(258, boundary=BOUNDARY).hide(ids, mask, _draws(ROWS))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"boundary": BOUNDARY},
        {"fraction": 1.0, "mask_fraction": 0.0, "random_fraction": 1.0, "boundary": BOUNDARY},
        {"fraction": 0.5, "mask_fraction": 0.25, "random_fraction": 0.5},
    ],
)
def test_equals_the_reference(ids, mask, options):
    few, real = ids[-6:, :60], mask[-6:, :60]
    draws = [masking_reference.random_bits(2**40 + row, seed=-3) for row in range(6)]
    expected = masking_reference.hide(few.tolist(), real.tolist(), draws, 258, **options)
    draws = random_bits(2**40 + tf.range(6, dtype=tf.int64), seed=-3)
    hide = Masking(258, **options).hide
    for function in (hide, tf.function(hide, jit_compile=True)):
        seen, chosen = function(tf.constant(few), tf.constant(real), draws)
        assert (seen.numpy().tolist(), chosen.numpy().tolist()) == expected


def test_fractions(ids, mask, hidden):
    seen, chosen = hidden
    candidates = mask & (ids != BOUNDARY)
    assert chosen.sum() / candidates.sum() == pytest.approx(0.15, abs=0.006)
    assert (seen[chosen] == 257).mean() == pytest.approx(0.8, abs=0.015)
    others = chosen & (seen != 257)
    changed = seen[others & (seen != ids)]
    assert changed.size / chosen.sum() == pytest.approx(0.1, abs=0.012)
    assert changed.max() < 257 and len(np.unique(changed)) > 230, "any id but the mask"


def test_padding_and_boundaries_are_never_chosen(ids, mask, hidden):
    seen, chosen = hidden
    assert not (chosen & ~mask).any() and not (chosen & (ids == BOUNDARY)).any()
    np.testing.assert_array_equal(seen[~chosen], ids[~chosen])


def test_rows_and_seeds_have_masks_of_their_own(ids, hidden):
    everything = np.ones_like(ids, bool)
    first, second = (Masking(258).hide(ids, everything, _draws(ROWS, seed))[1].numpy() for seed in (0, 1))
    for other in (second, np.roll(first, 1, axis=0), np.roll(first, 1, axis=1)):
        assert (first & other).mean() == pytest.approx(0.15**2, abs=0.003)


@pytest.mark.parametrize(("fraction", "count"), [(1.0, ROWS * LENGTH), (1e-10, 0)])
def test_extreme_fractions(ids, fraction, count):
    seen, chosen = Masking(258, fraction, 1.0, 0.0).hide(ids, np.ones_like(ids, bool), _draws(ROWS))
    assert np.count_nonzero(chosen) == np.count_nonzero(seen.numpy() == 257) == count


def test_a_row_does_not_depend_on_the_batch_or_its_length(ids, mask, hidden):
    masking = Masking(258, boundary=BOUNDARY)
    for row in (3, 150):
        for part, expected in zip(
            masking.hide(ids[row : row + 1], mask[row : row + 1], _draws(ROWS)[row : row + 1]), hidden, strict=True
        ):
            np.testing.assert_array_equal(part[0], expected[row])
    for part, expected in zip(masking.hide(ids[:, :70], mask[:, :70], _draws(ROWS)), hidden, strict=True):
        np.testing.assert_array_equal(part, expected[:, :70])

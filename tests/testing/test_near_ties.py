"""The near-tie detector on hand-made projections."""

import numpy as np
import pytest

from tests.testing import near_ties

Q = np.array([[3.0, 2.0, 1.0], [-3.0, 1.0, 0.5], [1.0, 5.0, 5.1]])[None, None]
ROTATIONS = np.eye(3)[None, :, None, :]


def test_gaps():
    np.testing.assert_allclose(near_ties.gaps(Q, ROTATIONS, [6])[0, 0, 0], [1.0, 2.0, 0.1])
    # The factor of one column has the gap of p and -p.
    np.testing.assert_allclose(near_ties.gaps(Q, ROTATIONS, [2, 4])[0, 0, 0], [1.0, 0.5, 0.1])
    np.testing.assert_allclose(near_ties.gaps(Q, ROTATIONS, [6, 1]), near_ties.gaps(Q, ROTATIONS, [6]))


def test_flips():
    gaps, mask = near_ties.gaps(Q, ROTATIONS, [6]), np.ones([1, 3], bool)
    one, other = np.array([[[[0, 3, 2]]]]), np.array([[[[0, 3, 1]]]])
    assert near_ties.count_flips(one, one, gaps, 0.0, mask) == 0
    assert near_ties.count_flips(one, other, gaps, 0.06, mask) == 1
    with pytest.raises(AssertionError, match="gaps of"):
        near_ties.count_flips(one, other, gaps, 0.01, mask)
    assert near_ties.count_flips(one, other, gaps, 0.01, np.array([[True, True, False]])) == 0

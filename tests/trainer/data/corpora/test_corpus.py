"""The rule that separates training and validation documents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.corpora.corpus import choose_validation


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40), st.floats(0.01, 0.9))
@settings(deadline=None)
def test_choosing_keeps_to_the_fraction(sizes, fraction):
    names = [f"file{i}" for i in range(len(sizes))]
    chosen = choose_validation(names, sizes, fraction)
    assert 0 < len(chosen) < len(sizes)
    taken = sum(sizes[i] for i in chosen)
    assert taken <= fraction * sum(sizes) or len(chosen) == 1
    assert chosen == choose_validation(names, sizes, fraction)


def test_choosing_depends_on_names_not_on_positions():
    names = [f"file{i}" for i in range(50)]
    chosen = {names[i] for i in choose_validation(names, [10] * 50, 0.2)}
    assert len(chosen) in (9, 10)
    assert chosen == {names[::-1][i] for i in choose_validation(names[::-1], [10] * 50, 0.2)}


def test_choosing_needs_two():
    with pytest.raises(ValueError, match=r"sizes must hold at least two documents. Received: 1"):
        choose_validation(["a"], [3], 0.5)

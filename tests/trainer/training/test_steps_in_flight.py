"""Steps come back in order, and no more are under way than may be."""

import pytest

from trainer.training.steps_in_flight import StepsAhead


@pytest.mark.parametrize("outstanding", [1, 3])
def test_order_and_number(outstanding):
    under_way, most = [], []

    def start(step):
        under_way.append(step)
        most.append(len(under_way))

        def result():
            under_way.remove(step)
            return step

        return result

    ahead = StepsAhead(start, 2, outstanding)
    assert [ahead.next(7) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert ahead.started == 7
    assert max(most) == outstanding
    assert ahead.next(8) == 7

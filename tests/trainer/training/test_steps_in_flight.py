"""Results come back in the sequence of the steps, and no more steps are in flight than allowed."""

import pytest

from trainer.training.steps_in_flight import StepsInFlight


@pytest.mark.parametrize("max_in_flight", [1, 3])
def test_sequence_and_number(max_in_flight):
    under_way, most = [], []

    def start(step):
        under_way.append(step)
        most.append(len(under_way))

        def result():
            under_way.remove(step)
            return step

        return result

    steps = StepsInFlight(start, 2, max_in_flight)
    assert [steps.next(7) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert steps.started == 7
    assert max(most) == max_in_flight
    assert steps.next(8) == 7

"""Results come back in the sequence of the steps, and no more steps are in flight than allowed."""

import itertools
import types

import pytest
from ml_collections import ConfigDict

from trainer.training import steps


@pytest.mark.parametrize("max_in_flight", [1, 3])
def test_sequence_and_number(max_in_flight, monkeypatch):
    under_way, most = [], []

    def start(function, batch, seed, scale):
        step = int(seed[1])
        assert batch == (step - 2, step - 2)  # The batches of the steps, one after another.
        under_way.append(step)
        most.append(len(under_way))

        def result():
            under_way.remove(step)
            return step

        return result

    settings = {"seed": 5, "steps": 9, "checkpoint_every": 7, "eval_every": 0, "outstanding_steps": max_in_flight}
    run = types.SimpleNamespace(
        step=2,
        config=ConfigDict({"train": settings}),
        dispatch=types.SimpleNamespace(start=start),
        skipped=types.SimpleNamespace(loss_scale=None),
        train_step=lambda *_: None,
        retained=[],
    )
    monkeypatch.setattr(steps, "batches", lambda run: ((number, number) for number in itertools.count()))
    made = steps.Steps(run)
    for expected in range(2, 7):
        assert made.next() == expected
        run.step += 1
    assert made.started == 7  # Not above the step of the next checkpoint.
    assert max(most) == max_in_flight
    assert made.next() == 7
    run.step += 1
    while made.started > run.step:
        assert made.next(start_more=False) == run.step
        run.step += 1
    assert not under_way
    assert made.started == (9 if max_in_flight > 1 else 8)

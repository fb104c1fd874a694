"""The learning rate at selected steps."""

import math

import keras
import pytest

from trainer.optimization.schedule import SCHEDULES, make_schedule


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_is_linear_and_ends_at_the_full_rate(name):
    schedule = make_schedule(name, 0.5, warmup_steps=10, steps=100)
    assert [float(schedule(step)) for step in range(10)] == pytest.approx([0.05 * step for step in range(1, 11)])


def test_constant_stays():
    schedule = make_schedule("constant", 0.5, warmup_steps=10)
    assert float(schedule(10)) == float(schedule(100_000)) == 0.5


def test_inverse_square_root():
    schedule = make_schedule("inverse_square_root", 0.5, warmup_steps=10)
    for update in (11, 40, 1000):
        assert float(schedule(update - 1)) == pytest.approx(0.5 * math.sqrt(10 / update))


def test_cosine_falls_to_the_final_fraction_and_stays():
    schedule = make_schedule("cosine", 0.5, warmup_steps=10, steps=110, final_fraction=0.1)
    assert float(schedule(59)) == pytest.approx(0.5 * 0.55)  # Update 60 is half way.
    assert float(schedule(109)) == pytest.approx(0.05)
    assert float(schedule(1000)) == pytest.approx(0.05)


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_warm_up(name):
    assert float(make_schedule(name, 0.5, warmup_steps=0, steps=10)(0)) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("name", SCHEDULES)
def test_serialization(name):
    schedule = make_schedule(name, 0.5, warmup_steps=10, steps=100)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert [float(again(step)) for step in (3, 70)] == [float(schedule(step)) for step in (3, 70)]


def test_unknown_schedule():
    with pytest.raises(ValueError, match=r"`config.optimizer.schedule` must be one of constant, .* Received: 'linear'"):
        make_schedule("linear", 0.5)

"""Every metric says in which direction it is better, and the best checkpoint and early stopping go by that."""

import pytest

from trainer import tasks
from trainer.storage import metrics
from trainer.tasks.task import LESS_IS_BETTER, MORE_IS_BETTER

TASKS = [task for task in vars(tasks).values() if isinstance(task, type) and issubclass(task, tasks.Task)]


@pytest.mark.parametrize("task", [task for task in TASKS if task is not tasks.Task])
def test_it_is_the_same_in_all_tasks(task):
    assert task.measure in task.metric_directions
    assert {*task.metric_directions.values()} <= {LESS_IS_BETTER, MORE_IS_BETTER}
    assert {name: tasks.direction(name) for name in task.metric_directions} == task.metric_directions


def test_the_best_is_of_the_least_cost():
    values = {"loss": 2.0, "bits_per_byte": 2.0, "bits_per_token": 2.0, "accuracy": -2.0}
    assert {name: metrics.cost(name, 2.0) for name in values} == values


def test_a_metric_without_a_direction_is_not_minimised_in_silence():
    with pytest.raises(ValueError, match="`metric` must be one of loss, .* Received: 'f1'"):
        metrics.cost("f1", 0.5)

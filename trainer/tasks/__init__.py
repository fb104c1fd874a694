"""Kinds of tasks: one module a kind, each with a `Task`; `config.task` names it."""

from ml_collections import ConfigDict

from trainer.data import corpora
from trainer.tasks.classification import Classification
from trainer.tasks.id_language_model import IdLanguageModel
from trainer.tasks.id_masked_language_model import IdMaskedLanguageModel
from trainer.tasks.language_model import LanguageModel
from trainer.tasks.masked_language_model import MaskedLanguageModel
from trainer.tasks.sequence_to_sequence import SequenceToSequence
from trainer.tasks.task import LESS_IS_BETTER, Batch, Sums, Task

__all__ = [
    "TASKS",
    "Batch",
    "Classification",
    "IdLanguageModel",
    "IdMaskedLanguageModel",
    "LanguageModel",
    "MaskedLanguageModel",
    "SequenceToSequence",
    "Sums",
    "Task",
    "direction",
    "find",
    "from_config",
]

# config.task -> class
TASKS: dict[str, type[Task]] = {
    "language_model": LanguageModel,
    "masked_language_model": MaskedLanguageModel,
    "classification": Classification,
    "sequence_to_sequence": SequenceToSequence,
}
# (config.task, contents of the source) -> class, where it is not that of all contents. The model is the same.
_OF_CONTENTS: dict[tuple[str, str], type[Task]] = {
    ("language_model", corpora.IDS): IdLanguageModel,
    ("masked_language_model", corpora.IDS): IdMaskedLanguageModel,
}
_DIRECTIONS = {
    "loss": LESS_IS_BETTER,
    **{name: way for task in (*TASKS.values(), *_OF_CONTENTS.values()) for name, way in task.metric_directions.items()},
}


def direction(metric: str) -> float:
    """Returns the direction in which a metric of any task is better, as `Task.metric_directions` has it.

    Raises:
        ValueError: If no task has the metric.

    Example:
        >>> direction("loss"), direction("accuracy")
        (1.0, -1.0)
    """
    if metric not in _DIRECTIONS:
        raise ValueError(f"`metric` must be one of {', '.join(_DIRECTIONS)}. Received: {metric!r}")
    return _DIRECTIONS[metric]


def find(config: ConfigDict) -> type[Task]:
    """Finds the class of the task for what the source of a config gives, which must be known."""
    return _OF_CONTENTS.get((config.task, corpora.SOURCES[config.data.name].contents), TASKS[config.task])


def from_config(config: ConfigDict) -> Task:
    """Makes the task that `config.task` names, of a config that was checked."""
    return find(config).from_config(config)

"""Kinds of tasks: one module a kind, each with a `Task`; `config.task` names it."""

from ml_collections import ConfigDict

from trainer.tasks.classification import Classification
from trainer.tasks.language_model import LanguageModel
from trainer.tasks.task import Batch, Sums, Task

__all__ = ["TASKS", "Batch", "Classification", "LanguageModel", "Sums", "Task", "from_config"]

# config.task -> class
TASKS: dict[str, type[Task]] = {
    "language_model": LanguageModel,
    "classification": Classification,
}


def from_config(config: ConfigDict) -> Task:
    """Makes the task that `config.task` names, of a config that was checked."""
    return TASKS[config.task].from_config(config)

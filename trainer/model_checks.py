"""Checks of `config.model`: the arguments of the task's model."""

from typing import Any

from ml_collections import ConfigDict

from reformer_tf.models import attention_kinds, model_arguments
from reformer_tf.ops import bucket_counts
from trainer import config as configs
from trainer import model_fields, spelling, tasks
from trainer.data import segments


def check(config: ConfigDict) -> None:
    """Checks `config.model` and the length that the model reads.

    Args:
        config: Config of a run, with one of the tasks and checked data.

    Raises:
        ValueError: If a field breaks a rule.
    """
    if "dtype" in config.model:
        raise ValueError(
            f"`config.model` must not have `dtype`: set `config.train.precision`. Received: {config.model.dtype!r}"
        )
    task = tasks.TASKS[config.task]
    known = list(model_fields.parameters(config.task))
    unknown = sorted(set(config.model) - set(known))
    if unknown:
        raise ValueError(
            f"`config.model` must hold arguments of {task.model_class.__name__} only, which are {', '.join(known)}. "
            f"Received: {', '.join(unknown)}{spelling.suggestion(unknown[0], known)}"
        )
    for name in task.sizes:
        if name not in config.model:
            raise ValueError(f"`config.model` must have `{name}`. Received: {', '.join(sorted(config.model))}")
    _check_model_values(config.task, configs.as_dict(config.model))
    _check_segments(config)
    task.check_lengths(config)


def _check_model_values(task: str, arguments: dict[str, Any]) -> None:
    """Checks arguments that the model would refuse too, but only after the data is read."""
    try:
        for values in tasks.TASKS[task].backbones(model_fields.completed(task, arguments)).values():
            _check_backbone(values)
    except KeyError as error:
        raise ValueError(
            f"`config.model` must have `{error.args[0]}`. Received: {', '.join(sorted(arguments))}"
        ) from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"`config.model` must hold what the model takes: {error}") from error


def _check_backbone(values: dict[str, Any]) -> None:
    model_arguments.check_values(values)
    model_arguments.check_used(values)
    kinds = attention_kinds.pattern(values["attention_layers"], values["num_layers"])
    attention_kinds.checked_options(values["attention_options"], kinds)
    attention_kinds.check_abilities(kinds, values)
    if values["num_buckets"] is not None:
        bucket_counts.bucket_factors(values["num_buckets"])


def _check_segments(config: ConfigDict) -> None:
    """Checks that the kinds of attention can tell documents apart, if they are asked to."""
    if segments.are_wanted(config.data):
        try:
            attention_kinds.check_segments(config.model.attention_layers)
        except ValueError as error:
            raise ValueError(f"`config.data.separate_documents` must be False with this model: {error}") from error

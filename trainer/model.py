"""The model of a run: built from its config, or loaded from one of its checkpoints."""

import itertools
from typing import Any

import keras
from ml_collections import ConfigDict

from trainer import tasks
from trainer.config import as_dict
from trainer.storage import checkpoint_average, checkpoint_choice, named_variables
from trainer.storage.workdir import Workdir


def build_model(config: ConfigDict) -> keras.Model:
    """Builds the model of a run, with weights as `config.model.seed` gives them.

    Args:
        config: Config of a run.

    Returns:
        A model that computes in `config.train.precision`.

    Raises:
        ValueError: If the model refuses an argument.
    """
    try:
        return tasks.TASKS[config.task].model_class(**as_dict(config.model), dtype=config.train.precision)
    except TypeError as error:  # From arguments that only Keras checks, such as initializers.
        raise ValueError(f"`config.model` must hold what the model takes: {error}") from error


def load_model(
    config: ConfigDict, workdir: Workdir, checkpoint: str = checkpoint_choice.NEWEST, average_checkpoints: int = 1
) -> tuple[keras.Model, int]:
    """Builds a model and gives it the weights of a checkpoint; see `load_described`.

    Returns:
        The model and the step of its weights.
    """
    model, description = load_described(config, workdir, checkpoint, average_checkpoints)
    return model, description["step"]


def load_described(
    config: ConfigDict, workdir: Workdir, checkpoint: str = checkpoint_choice.NEWEST, average_checkpoints: int = 1
) -> tuple[keras.Model, dict[str, Any]]:
    """Builds a model and gives it the weights of a checkpoint.

    With `config.optimizer.ema_momentum`, these are the moving averages of the weights, if the checkpoint has them.

    Args:
        config: Config of the run, perhaps with another `config.model.num_hashes` or number of features: rotations and
            rows of random features whose shape differs from the checkpoint are made from the seed.
        workdir: Folder of the run.
        checkpoint: `newest` (of those that are not damaged), `best` (by `config.train.best_metric`) or
            the number of a step.
        average_checkpoints: Number of checkpoints whose mean the trainable weights are: this one and the newest before
            it. All others, such as rotations, are those of this one.

    Returns:
        The model and the description of the checkpoint, which has `step`, and `averaged_steps` of an average.

    Raises:
        ValueError: If there is no such checkpoint, too few to average, or one that is damaged or does not fit the
            model.
    """
    checkpoint_average.check_count(average_checkpoints)
    used = named_variables.averaged if config.optimizer.ema_momentum else named_variables.model_entries
    arrays, description = checkpoint_choice.read(workdir, checkpoint, config.train.best_metric)
    saved = used(arrays)
    del arrays  # The slots of the optimizer take more memory than the weights.
    checkpoints, step = workdir.checkpoints(), description["step"]
    before = checkpoint_average.steps_before(checkpoints, step, average_checkpoints, config.train.keep_checkpoints)
    model = build_model(config)
    variables = named_variables.named_variables(model)
    if before:
        trained = [name for name, variable in variables.items() if variable.trainable]
        others = (used(checkpoints.read(other)[0]) for other in before)
        saved = checkpoint_average.mean(itertools.chain([saved], others), trained)
        description = {**description, "averaged_steps": [*before[::-1], step]}
    for name, variable in list(variables.items()):
        if named_variables.is_made_from_seed(name) and name in saved and saved[name].shape != tuple(variable.shape):
            del variables[name], saved[name]
    named_variables.assign(variables, saved, str(workdir.root))
    return model, description

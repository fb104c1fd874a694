"""The training step of a config as one program: forward, backward, clipping, and the update with its slots."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from compilers.steps.step_to_compile import StepToCompile
from trainer import config_checks, model_fields, tasks
from trainer.model import build_model
from trainer.optimization import optimizer
from trainer.training import schedule_steps
from trainer.training.skipped_steps import SkippedSteps
from trainer.training.step import TrainStep


def for_one_device(config: ConfigDict) -> ConfigDict:
    """Checks a config and returns it for one device.

    Raises:
        ValueError: If it breaks a rule.
    """
    config = config.copy_and_resolve_references()
    config.strategy = "one_device"
    config_checks.check_config(config)
    config_checks.check_batch(config, replicas=1)
    return config


def number_of_layers(config: ConfigDict) -> int:
    """Counts the layers of all backbones of a model.

    Args:
        config: Config of a run that keeps the rules.
    """
    arguments = model_fields.completed(config.task, config.model)
    return sum(values["num_layers"] for values in tasks.TASKS[config.task].backbones(arguments).values())


def make(config: ConfigDict) -> StepToCompile:
    """Makes the step that the trainer makes of a config, for one device with the whole batch.

    The whole step is one program, as on a TPU; on a GPU, where `config.train.jit_compile` compiles only forward and
    backward, the update is made beside it, after the same gradients. The strategy of the config is not used: for one of
    several devices, give the rows of one as `config.train.batch_size`. No data is read.

    Args:
        config: Config of a run.

    Raises:
        ValueError: If the config breaks a rule.
    """
    config = for_one_device(config)
    model, task = build_model(config), tasks.from_config(config)
    updates = optimizer.make_optimizer(config.optimizer, config.train.steps, model.trainable_variables)
    step = TrainStep(
        model,
        updates,
        tf.distribute.OneDeviceStrategy("CPU:0"),
        accumulation_steps=config.train.accumulation_steps,
        clip_norm=config.optimizer.clip_norm,
        compile_whole=True,
        task=task,
    )
    updates.learning_rate = schedule_steps.make(config, config.train.steps)
    batch = task.signature(config)
    signature = [*batch, tf.TensorSpec([2], tf.int32)]
    if SkippedSteps(config.train).loss_scale is not None:
        signature.append(tf.TensorSpec([], tf.float32))
    facts = {
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "optimizer": config.optimizer.name,
        "precision": config.train.precision,
        "batch": config.train.batch_size,
    }

    # A program to compile takes tensors, not groups of them.
    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def take(*tensors: tf.Tensor) -> Any:
        return step(tensors[: len(batch)], *tensors[len(batch) :])

    return StepToCompile(take, signature, facts)

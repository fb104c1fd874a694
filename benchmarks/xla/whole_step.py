"""The training step as one program, and its inputs, for benchmarks and tests that compile or examine it."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measuring.sizes import VOCABULARY
from trainer.config import default_config
from trainer.optimization import optimizer
from trainer.training.step import TrainStep


def make_step(model: keras.Model, name: str, compile_whole: bool = True, accumulation_steps: int = 1) -> TrainStep:
    """Makes the step of a model on one device.

    Args:
        model: A model with `token_losses`.
        name: The optimizer; its other settings are the trainer's defaults, with weight decay, a moving average of the
            weights, and without warm-up.
        compile_whole: Whether XLA compiles the complete step.
        accumulation_steps: The number of parts in which the rows are computed.
    """
    config = default_config().optimizer
    config.name, config.schedule, config.warmup_steps = name, "cosine", 0
    config.weight_decay, config.ema_momentum = 0.01, 0.999
    slots = optimizer.make_optimizer(config, 1000, model.trainable_variables)
    return TrainStep(
        model,
        slots,
        tf.distribute.get_strategy(),
        accumulation_steps=accumulation_steps,
        clip_norm=config.clip_norm,
        compile_whole=compile_whole,
    )


def batch(rows: int, length: int, step: int) -> list[tf.Tensor]:
    """The inputs of a step: random ids and a mask `[B, L + 1]`, the last row half as long as the others, and a seed."""
    ids = np.random.default_rng(step).integers(0, VOCABULARY, (rows, length + 1), dtype=np.int32)
    mask = np.ones(ids.shape, bool)
    mask[-1, length // 2 + 1 :] = False
    return [tf.constant(ids), tf.constant(mask), tf.constant([0, step])]

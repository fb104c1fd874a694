"""Learning rate as a function of the step: a linear warm-up, then constant, inverse square root or cosine.

Steps count from 0, as in Keras: the rate of step `s` is used by the update that makes step `s + 1`, so that the first
update of a warm-up over `w` steps has the rate `learning_rate / w` and update number `w` has the full one.
"""

import math
from typing import Any

import keras
import tensorflow as tf
from ml_collections import ConfigDict


class _WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up times the factor of a subclass."""

    def __init__(self, learning_rate: float, warmup_steps: int):
        super().__init__()
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> tf.Tensor:
        update = tf.cast(step, tf.float32) + 1.0
        warm_up = tf.minimum(1.0, update / max(self.warmup_steps, 1))
        return self.learning_rate * warm_up * self._after(update)

    def _after(self, update: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("reformer_tf_trainer")
class Constant(_WarmUp):
    """A constant learning rate after the warm-up.

    Args:
        learning_rate: Rate after the warm-up.
        warmup_steps: Number of updates until the rate is reached.
    """

    def _after(self, update: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(update)


@keras.saving.register_keras_serializable("reformer_tf_trainer")
class InverseSquareRoot(_WarmUp):
    """`learning_rate * sqrt(warmup_steps / update)` after the warm-up.

    Args:
        learning_rate: Highest rate, reached at the end of the warm-up.
        warmup_steps: Number of updates until the rate is reached.
    """

    def _after(self, update: tf.Tensor) -> tf.Tensor:
        return tf.math.rsqrt(tf.maximum(1.0, update / max(self.warmup_steps, 1)))


@keras.saving.register_keras_serializable("reformer_tf_trainer")
class Cosine(_WarmUp):
    """Half a cosine from the end of the warm-up to the end of the schedule.

    Args:
        learning_rate: Highest rate, reached at the end of the warm-up.
        warmup_steps: Number of updates until the rate is reached.
        steps: Number of updates until the end.
        final_fraction: Fraction of `learning_rate` at the last update and after it.
    """

    def __init__(self, learning_rate: float, warmup_steps: int, steps: int, final_fraction: float = 0.0):
        super().__init__(learning_rate, warmup_steps)
        self.steps = steps
        self.final_fraction = final_fraction

    def _after(self, update: tf.Tensor) -> tf.Tensor:
        done = (update - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        wave = 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
        return self.final_fraction + (1.0 - self.final_fraction) * wave

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "final_fraction": self.final_fraction}


SCHEDULES = ("constant", "cosine", "inverse_square_root")
WITH_AN_END = "cosine"
"""The schedule that depends on the number of steps."""


def from_config(settings: ConfigDict, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes the schedule of `config.optimizer`.

    Args:
        settings: `config.optimizer` of a run.
        steps: Number of updates until the end.
    """
    return make_schedule(
        settings.schedule, settings.learning_rate, settings.warmup_steps, steps, settings.final_fraction
    )


def make_schedule(
    name: str, learning_rate: float, warmup_steps: int = 0, steps: int = 0, final_fraction: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes a schedule by name.

    Args:
        name: One of `SCHEDULES`.
        learning_rate: Highest rate.
        warmup_steps: Number of updates of the linear warm-up.
        steps: Number of updates until the end; only the cosine has one.
        final_fraction: Fraction of `learning_rate` at the end of the cosine.

    Returns:
        A function of the step, counted from 0.

    Raises:
        ValueError: If the name is unknown.
    """
    if name == "constant":
        return Constant(learning_rate, warmup_steps)
    if name == "inverse_square_root":
        return InverseSquareRoot(learning_rate, warmup_steps)
    if name == "cosine":
        return Cosine(learning_rate, warmup_steps, steps, final_fraction)
    raise ValueError(f"`config.optimizer.schedule` must be one of {', '.join(SCHEDULES)}. Received: {name!r}")

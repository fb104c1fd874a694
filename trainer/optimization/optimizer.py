"""Makes the Keras optimizer of a run, which takes gradients that are summed over the replicas already."""

import contextvars
import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.optimization import schedule
from trainer.optimization.moving_average import MovingAverage

# A context variable, because each replica has its own thread and rate: with a common one, TensorFlow's graph optimizer
# would order the factors of their updates differently, and mirrored variables would drift apart by rounding.
_update_rate: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar("update_rate", default=None)


class TakesReducedGradients:
    """Mixin for Keras optimizers that take summed gradients and update one variable at a time.

    The learning rate is computed once for an update; Keras would compute it again for each variable that decays.

    The training step sums and clips gradients before it applies them, because it clips by the norm of the summed
    gradient. Summing again would multiply the gradient by the number of replicas.

    Control dependencies put the updates in sequence, each with the weight decay of its variable, which Keras would make
    in a pass of its own. Otherwise TensorFlow's executor would start as many of them at once as it has threads, and
    several temporary tensors of the size of the whole gradient would be alive together.

    Attributes:
        average: The moving average that follows the updates, or None.
    """

    average: MovingAverage | None = None

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """See `keras.optimizers.Optimizer.apply`."""
        token = _update_rate.set(self._get_current_learning_rate())
        try:
            super().apply(grads, trainable_variables)  # type: ignore[misc]
        finally:
            _update_rate.reset(token)

    def _get_current_learning_rate(self) -> tf.Tensor:
        rate = _update_rate.get()
        return super()._get_current_learning_rate() if rate is None else rate  # type: ignore[misc]

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        """Leaves the variables to `_decay`, which the update of each calls; Muon's `adam_weight_decay` is not read."""

    def _decay(self, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        decay = self.weight_decay  # type: ignore[attr-defined]
        if decay is not None and self._use_weight_decay(variable):  # type: ignore[attr-defined]
            factors = [tf.cast(factor, variable.dtype) for factor in (decay, learning_rate)]
            variable.assign_sub(variable * factors[0] * factors[1])

    def _distributed_tf_update_step(self, distribution: Any, grads_and_vars: Any, learning_rate: Any) -> None:
        finished: dict[str, list[tf.Operation]] = {}  # By device, so that devices do not wait for each other.

        def update(variable: tf.Variable, gradient: tf.Tensor, learning_rate: Any) -> None:
            graph = tf.compat.v1.get_default_graph()
            known = len(graph.get_operations())
            with tf.control_dependencies(finished.get(variable.device, [])):
                self._decay(variable, learning_rate)
                self.update_step(gradient, variable, learning_rate)  # type: ignore[attr-defined]
                if self.average is not None:
                    index = self._get_variable_index(variable)  # type: ignore[attr-defined]
                    first = tf.equal(self.iterations.value, 0)  # type: ignore[attr-defined]
                    self.average.update(index, variable, first)
            assignments = [op for op in graph.get_operations()[known:] if op.type.startswith("Assign")]
            finished[variable.device] = assignments

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, update, args=(gradient, learning_rate), group=False)


class _Adam(TakesReducedGradients, keras.optimizers.Adam):
    pass


class _Adafactor(TakesReducedGradients, keras.optimizers.Adafactor):
    pass


class _Muon(TakesReducedGradients, keras.optimizers.Muon):
    pass


OPTIMIZERS = ("adafactor", "adam", "muon")


def make_optimizer(
    config: ConfigDict, steps: int, variables: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a run and its slots.

    Call it in the scope of the strategy. Clipping is left to the training step. Weight decay is decoupled (times the
    learning rate); it excludes variables with fewer than two dimensions (biases and scales) and those that the config
    names.

    Args:
        config: `config.optimizer` of a run.
        steps: Number of updates of the run, for the schedule.
        variables: The trainable variables, for which slots are made.

    Returns:
        A Keras optimizer. All replicas must give it the same gradients.

    Raises:
        ValueError: If the optimizer or the schedule is unknown, or if an exclusion fits no variable.
    """
    rate = schedule.from_config(config, steps)
    common = {"learning_rate": rate, "weight_decay": config.weight_decay or None, "name": "optimizer"}
    if config.name == "adam":
        optimizer = _Adam(beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon, **common)
    elif config.name == "adafactor":
        optimizer = _Adafactor(relative_step=False, **common)
    elif config.name == "muon":
        # Matrices of the feed-forward layers get orthogonal updates (Jordan et al., 2024), all other variables Adam's.
        optimizer = _Muon(
            adam_beta_1=config.beta_1,
            adam_beta_2=config.beta_2,
            epsilon=config.epsilon,
            adam_lr_ratio=config.adam_ratio,
            exclude_layers=["head"],
            **common,
        )
    else:
        raise ValueError(f"`config.optimizer.name` must be one of {', '.join(OPTIMIZERS)}. Received: {config.name!r}")
    excluded = _without_weight_decay(variables, config.weight_decay_exclusions)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=excluded)
    optimizer.build(list(variables))
    if config.ema_momentum:
        optimizer.average = MovingAverage(variables, config.ema_momentum)
    return optimizer


def _without_weight_decay(variables: Sequence[keras.Variable], exclusions: Sequence[str]) -> list[keras.Variable]:
    """Returns biases, scales, and the variables whose paths match an expression."""
    paths = [variable.path for variable in variables]
    for exclusion in exclusions:
        if not any(re.search(exclusion, path) for path in paths):
            raise ValueError(
                "`config.optimizer.weight_decay_exclusions` must hold expressions that are found in the path of a "
                f"variable: {', '.join(paths)}. Received: {exclusion!r}"
            )
    return [v for v in variables if len(v.shape) < 2 or any(re.search(exclusion, v.path) for exclusion in exclusions)]

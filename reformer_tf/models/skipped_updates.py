"""Updates all weights and slots with an optimizer, or none if a loss is not finite."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def apply_if_finite(
    optimizer: keras.optimizers.Optimizer, loss: tf.Tensor, gradients: Sequence[Any], variables: Sequence[Any]
) -> None:
    """Updates variables unless the loss of some replica is not finite: then no variable, slot or counter changes.

    A finite loss with a gradient that is not finite is left to the optimizer, because a loss scale for float16 has to
    react to such gradients.

    Args:
        optimizer: Keras' optimizer.
        loss: scalar, this replica's part of the loss, not scaled.
        gradients: one for each variable, None where there is none.
        variables: the variables.
    """
    if not variables:
        warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return
    if not optimizer.built:
        # Not inside `tf.cond`: a graph branch cannot create variables that outlive it.
        with keras.name_scope(optimizer.name, caller=optimizer):
            optimizer.build(list(variables))
    replica = tf.distribute.get_replica_context()
    wrong = tf.cast(~tf.math.is_finite(loss), tf.float32)
    if replica.num_replicas_in_sync > 1:
        wrong = replica.all_reduce("sum", wrong)

    def apply(gradients: Sequence[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def apply_or_not(wrong: tf.Tensor, update: Any) -> None:
        def done() -> tf.Tensor:
            update()
            return tf.constant(True)

        tf.cond(wrong > 0, lambda: tf.constant(False), done)

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        apply_or_not(wrong, lambda: apply(gradients))
        return

    def together(strategy: tf.distribute.Strategy, wrong: Any, gradients: Sequence[Any]) -> None:
        # All replicas have the same sum.
        first = strategy.experimental_local_results(wrong)[0]
        apply_or_not(first, lambda: strategy.extended.call_for_each_replica(apply, args=(gradients,)))

    # The branch is entered once for all replicas, since optimizers synchronize the replicas inside it.
    replica.merge_call(together, args=(wrong, list(gradients)))

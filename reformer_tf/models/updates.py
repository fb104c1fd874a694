"""An update of weights that is made as a whole or not at all."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def apply_if_finite(
    optimizer: keras.optimizers.Optimizer, loss: tf.Tensor, gradients: Sequence[Any], variables: Sequence[Any]
) -> None:
    """Updates variables unless the loss of some replica is not finite: then nothing is changed, no slot and no counter.

    A loss that is finite with a gradient that is not is left to the optimizer, because one that scales the loss of
    float16 has to learn of it.

    Args:
        optimizer: Keras' optimizer.
        loss: scalar, this replica's part of the loss, not scaled.
        gradients: one for each variable; None for none.
        variables: the variables.
    """
    if not variables:
        warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return
    if not optimizer.built:
        # Not in a branch of a graph, out of which no variable can be taken.
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

    # A branch must not be entered by each replica, since optimizers let the replicas meet inside.
    replica.merge_call(together, args=(wrong, list(gradients)))

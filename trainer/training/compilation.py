"""Whether XLA compiles the steps of a run."""

import tensorflow as tf

from reformer_tf.ops.execution import budgets


def is_wanted(jit_compile: bool | str, strategy: tf.distribute.Strategy) -> bool:
    """Decides `config.train.jit_compile`.

    Args:
        jit_compile: True, False, or `"auto"`: on an accelerator XLA compiles, because each operation that it does not
            combine with others is a pass over the device's memory; on a CPU the functions inside are compiled one by
            one where that pays.
        strategy: Strategy of the run. XLA cannot compile what reads variables of another process, so `"auto"` does not
            compile steps with parameter servers.

    Returns:
        Whether XLA compiles forward and backward of a replica.
    """
    if jit_compile != "auto":
        return bool(jit_compile)
    return budgets.on_accelerator() and not isinstance(strategy, tf.distribute.ParameterServerStrategy)

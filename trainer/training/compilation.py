"""Whether XLA compiles the steps of a run."""

from reformer_tf.ops.execution import budgets


def is_wanted(jit_compile: bool | str) -> bool:
    """Decides `config.train.jit_compile`.

    Args:
        jit_compile: True, False, or `"auto"`: on an accelerator XLA compiles, because each operation that it does not
            combine with others is a pass over the device's memory; on a CPU the functions inside are compiled one by
            one where that pays.

    Returns:
        Whether XLA compiles forward and backward of a replica.
    """
    return budgets.on_accelerator() if jit_compile == "auto" else bool(jit_compile)

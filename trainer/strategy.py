"""The distribution strategy of a run, by name."""

import tensorflow as tf

STRATEGIES = ("mirrored", "one_device")
_LATER = ("multi_worker", "parameter_server", "tpu")


def check_strategy(name: str) -> None:
    """Checks the name of a strategy without touching a device.

    Args:
        name: `config.strategy` of a run.

    Raises:
        ValueError: If there is no such strategy, or not yet.
    """
    if name in _LATER:
        raise ValueError(
            f"`config.strategy` must be one of {', '.join(STRATEGIES)}: the others do not exist yet. Received: {name!r}"
        )
    if name not in STRATEGIES:
        raise ValueError(f"`config.strategy` must be one of {', '.join(STRATEGIES)}. Received: {name!r}")


def make_strategy(name: str, logical_devices: int = 0) -> tf.distribute.Strategy:
    """Makes a strategy.

    Args:
        name: `one_device` (the first GPU, else the CPU) or `mirrored` (all GPUs, else the CPU or its parts).
        logical_devices: If not 0, the CPU is split into so many devices, which are used in place of any GPU.

    Returns:
        A strategy.

    Raises:
        ValueError: If there is no such strategy, or the CPU cannot be split any more.
    """
    check_strategy(name)
    if logical_devices:
        _split_cpu(logical_devices)
    gpus = [] if logical_devices else tf.config.list_logical_devices("GPU")
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(len(gpus))])
    # Plain sums: collectives keep state in the process, and a second strategy of it would meet that of the first.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(max(logical_devices, 1))],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _split_cpu(parts: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    except RuntimeError as error:  # TensorFlow has started; the split of that moment may be enough.
        if len(tf.config.list_logical_devices("CPU")) < parts:
            raise ValueError(
                "`config.logical_devices` must be set before TensorFlow's first operation of the process, or be at "
                f"most the number it has. Received: {parts}"
            ) from error

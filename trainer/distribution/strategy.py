"""The distribution strategy of a run, by name."""

import signal
import threading
from collections.abc import Callable

import tensorflow as tf

from trainer.distribution import cluster, tpu

_NEEDS = {
    "multi_worker": ("worker",),
    "parameter_server": ("chief", "worker", "ps"),
}
"""Kinds of processes that the cluster of a strategy must have; other strategies have no cluster."""


def check_strategy(name: str) -> None:
    """Checks the name of a strategy, and what it needs of the environment, without touching a device.

    Args:
        name: `config.strategy` of a run.

    Raises:
        ValueError: If there is no such strategy, or if what it needs is missing.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`config.strategy` must be one of {', '.join(STRATEGIES)}. Received: {name!r}")
    task = cluster.from_environment()
    if name not in _NEEDS:
        if task is not None and len(task.cluster.get("worker", ())) + len(task.cluster.get("ps", ())) > 1:
            raise ValueError(
                f"`config.strategy` must be {' or '.join(_NEEDS)} in a cluster of several processes, which "
                f"`{cluster.VARIABLE}` describes; {name!r} would train the same model once in each. "
                f"Received: {name!r} and {task.to_json()}"
            )
        return
    if task is None:
        raise ValueError(
            f"`config.strategy` {name!r} must have a cluster: the environment variable `{cluster.VARIABLE}`, or the "
            f"flags --workers and --task_index. {cluster.TRY_OUT} Received: neither"
        )
    missing = [kind for kind in _NEEDS[name] if not task.cluster.get(kind)]
    if missing:
        raise ValueError(
            f"`config.strategy` {name!r} must have a cluster with {', '.join(_NEEDS[name])}. "
            f"Received: no {', '.join(missing)} in {task.to_json()}"
        )
    if name == "multi_worker" and task.kind == "ps":
        raise ValueError(f"`config.strategy` 'multi_worker' has no parameter servers. Received: {task.to_json()}")


def make_strategy(name: str, logical_devices: int = 0, tpu_address: str = "local") -> tf.distribute.Strategy:
    """Makes a strategy. One that spans several processes waits for them.

    Args:
        name: `one_device` (the first GPU, else the CPU), `mirrored` (all GPUs, else the CPU or its parts),
            `multi_worker` (all devices of all workers), `parameter_server`, or `tpu`.
        logical_devices: Number of devices that the CPU is split into and that are used instead of GPUs; 0 for no split.
        tpu_address: Address of a TPU: see `trainer.distribution.tpu`.

    Returns:
        A strategy.

    Raises:
        ValueError: If there is no such strategy, if what it needs is missing, or if the CPU cannot be split any more.
    """
    check_strategy(name)
    if logical_devices:
        _split_cpu(logical_devices)
    return tpu.make_tpu_strategy(tpu_address) if name == "tpu" else _MAKERS[name](logical_devices)


def _one_device(logical_devices: int) -> tf.distribute.Strategy:
    gpus = [] if logical_devices else tf.config.list_logical_devices("GPU")
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")


def _mirrored(logical_devices: int) -> tf.distribute.Strategy:
    gpus = [] if logical_devices else tf.config.list_logical_devices("GPU")
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(len(gpus))])
    # Plain sums, because collectives keep state in the process, which a second strategy would run into.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(max(logical_devices, 1))],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _multi_worker(logical_devices: int) -> tf.distribute.Strategy:
    del logical_devices  # A worker uses one CPU, or all its GPUs.
    before = signal.getsignal(signal.SIGTERM)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    finally:
        # TensorFlow handles SIGTERM to notify the other workers; the training loop does that itself.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _parameter_server(logical_devices: int) -> tf.distribute.Strategy:
    del logical_devices
    return tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())


def _split_cpu(parts: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    except RuntimeError as error:  # TensorFlow has started; its devices may be enough.
        if len(tf.config.list_logical_devices("CPU")) < parts:
            raise ValueError(
                "`config.logical_devices` must be set before TensorFlow's first operation of the process, or be at "
                f"most the number it has. Received: {parts}"
            ) from error


_MAKERS: dict[str, Callable[[int], tf.distribute.Strategy]] = {
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "parameter_server": _parameter_server,
}

STRATEGIES = (*_MAKERS, "tpu")

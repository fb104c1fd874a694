"""A fake TPU with logical CPUs as its cores. All other parts are TensorFlow's own.

A strategy over them traces what it would run on a TPU; it cannot run it, since that takes TensorFlow's TPU runtime.
"""

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow.python.tpu import tpu_system_metadata

CORES = 2

_HOST = "/job:localhost/replica:0/task:0"


class Resolver(tf.distribute.cluster_resolver.ClusterResolver):
    """Describes one host with so many cores."""

    def __init__(self, tpu: str = "local"):
        self.tpu = tpu

    def cluster_spec(self) -> tf.train.ClusterSpec:
        return tf.train.ClusterSpec({})

    def master(self, task_type=None, task_id=None, rpc_layer=None) -> str:
        return ""

    def num_accelerators(self, task_type=None, task_id=None, config_proto=None) -> dict[str, int]:
        return {"TPU": CORES}

    def get_tpu_system_metadata(self) -> tpu_system_metadata.TPUSystemMetadata:
        devices = [SimpleNamespace(name=f"{_HOST}/device:TPU:{core}") for core in range(CORES)]
        return tpu_system_metadata.TPUSystemMetadata(
            num_cores=CORES, num_hosts=1, num_of_cores_per_host=CORES, topology=None, devices=devices
        )


class _OnCPUs:
    """A device assignment that gives each replica a logical CPU."""

    num_replicas = CORES
    num_cores_per_replica = 1
    core_assignment = np.array([[[core, 0, 0, 0]] for core in range(CORES)], np.int32)
    topology = SimpleNamespace(serialized=lambda: b"")

    def tpu_device(self, replica: int = 0, logical_core: int = 0, job: str | None = None) -> str:
        return f"{_HOST}/device:CPU:{replica}"

    def host_device(self, replica: int = 0, logical_core: int = 0, job: str | None = None) -> str:
        return f"{_HOST}/device:CPU:0"


def make_strategy(resolver: Resolver | None = None) -> tf.distribute.TPUStrategy:
    """TensorFlow's own TPUStrategy over logical CPUs."""
    return tf.distribute.TPUStrategy(resolver or Resolver(), experimental_device_assignment=_OnCPUs())

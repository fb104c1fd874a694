"""The devices of this process, as TensorFlow knows them: which kind computes, and how much memory one of it has."""

import functools

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.eager import context

from reformer_tf.ops.execution.device_budgets import CPU


def kind() -> str:
    """The kind of device that computes: an accelerator's, such as `"GPU"`, if this process has one, else `"CPU"`."""
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    return min(kinds - {CPU}, default=CPU)


@functools.lru_cache
def memory_bytes(kind: str) -> int | None:
    """The memory that TensorFlow may use on a device of a kind, the smallest if there are several.

    Nothing is allocated and no device is initialized by the question: TensorFlow lists the devices that it has already.
    On a GPU it is what is left for tensors of this process; a TPU may say nothing.

    Args:
        kind: of the device.

    Returns:
        Bytes; None if this process has no such device, or it does not say.
    """
    if not tf.config.list_logical_devices(kind):
        return None
    # Names for users say how much is in use now (`get_memory_info`), not how much there is.
    devices = pywrap_tfe.TFE_ContextListDevices(context.context()._handle)
    try:
        found = [
            pywrap_tf_session.TF_DeviceListMemoryBytes(devices, index)
            for index in range(pywrap_tfe.TF_DeviceListCount(devices))
            if pywrap_tfe.TF_DeviceListType(devices, index) == kind
        ]
    finally:
        pywrap_tfe.TF_DeleteDeviceList(devices)
    return min((size for size in found if size > 0), default=None)

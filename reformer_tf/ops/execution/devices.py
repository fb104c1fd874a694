"""The devices of this process, as TensorFlow knows them: which kind computes, and how much memory one of it has."""

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.eager import context

from reformer_tf.ops.execution.device_budgets import CPU

# The host's part of a TPU. With it, kinds that begin with `XLA_` are no devices of their own: flags of TensorFlow add
# them, each beside the device that it compiles for.
_TPU_HOST = "TPU_SYSTEM"

_sizes: dict[str, int] = {}


def kind() -> str:
    """The kind of device that computes: an accelerator's, such as `"GPU"`, if this process has one, else `"CPU"`.

    TensorFlow initializes its devices for the answer, so that what must be set before (logical devices, a cluster)
    cannot be set any more.
    """
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    return min((kind for kind in kinds if kind not in (CPU, _TPU_HOST) and not kind.startswith("XLA_")), default=CPU)


def memory_bytes(kind: str) -> int | None:
    """The memory that TensorFlow may use on a device of a kind, the smallest if there are several.

    It initializes no devices, and allocates nothing. On a GPU it is what is left for tensors of this process; a TPU may
    say nothing. A size that was found holds for the process; where there is none, TensorFlow is asked each time,
    because a TPU or a cluster may be connected later.

    Args:
        kind: of the device.

    Returns:
        Bytes; None if TensorFlow has no such device, or not yet initialized it, or if the device does not say.
    """
    if kind not in _sizes and (size := _smallest(kind)) is not None:
        _sizes[kind] = size
    return _sizes.get(kind)


def _smallest(kind: str) -> int | None:
    if not context.context()._initialized or not tf.config.list_logical_devices(kind):
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

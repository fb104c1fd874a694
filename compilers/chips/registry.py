"""The chips that programs are compiled for without one at hand; a chip is one entry of `CHIPS`.

Imports nothing beyond the standard library, as the process that compiles may have no other package of ours.
"""

import dataclasses
from collections.abc import Mapping

from compilers.chips import gpu_descriptions

HERE = "cpu"
"""The target that is no chip of the table: the device that TensorFlow finds on this machine."""

_GIB = 2**30
_LIBTPU_LOCK = "/tmp/libtpu_lockfile"


@dataclasses.dataclass(frozen=True)
class Chip:
    """A chip, and the numbers of its roofline.

    Attributes:
        label: its name for people.
        kind: the kind of device in TensorFlow, `"GPU"` or `"TPU"`.
        platform: the name of its compiler in JAX.
        topology: the name of one such chip for its compiler.
        packages: that compiling needs.
        memory_bytes: its memory.
        peaks: operations of matrix products a second, by dtype as in `hlo.operations.Operations.matmul`.
        full_peak: operations of matrix products in bfloat16 a second by its data sheet.
        bandwidth: bytes that it reads and writes a second.
        least_launch_s: the least time between the starts of two launches.
        source: where the numbers are from.
        description: of the device, in the text format of XLA's `GpuTargetConfigProto`; a GPU's compiler needs it.
        reserved_bytes: of its memory, which are assumed to be taken by its driver and by libraries.
        lock: the file that its compiler locks on this machine, empty if it allows several processes.
        environment: variables of the environment that its compiler reads; a TPU's compiler needs them.
    """

    label: str
    kind: str
    platform: str
    topology: str
    packages: tuple[str, ...]
    memory_bytes: int
    peaks: Mapping[str, float]
    full_peak: float
    bandwidth: float
    least_launch_s: float
    source: str
    description: str = ""
    reserved_bytes: int = 0
    lock: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def usable_bytes(self) -> int:
        """The memory that a program and its arguments may take."""
        return self.memory_bytes - self.reserved_bytes


def _tpu(name: str, accelerator_type: str, memory_gib: int, peak: float, int8_peak: float, bandwidth: float) -> Chip:
    """A TPU of one chip, by its name in `topology_name` and the peaks of its page in Google Cloud's documentation."""
    return Chip(
        label=f"TPU {name}",
        kind="TPU",
        platform="tpu",
        topology=f"{name}:1x1x1",
        packages=("jax", "libtpu"),
        memory_bytes=memory_gib * _GIB,
        peaks={"BF16": peak, "F32": peak, "F32 HIGHEST": peak / 6, "S8": int8_peak},
        full_peak=peak,
        bandwidth=bandwidth,
        least_launch_s=0.0,
        source=f"Google Cloud's documentation of the TPU {name}; products of float32 are made in one pass in bfloat16, "
        "in six where the program asks full precision",
        lock=_LIBTPU_LOCK,
        # The environment of a machine with one chip; the compiler would ask for it over the network.
        environment={
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": accelerator_type,
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_WORKER_ID": "0",
        },
    )


CHIPS: dict[str, Chip] = {
    "h200": Chip(
        label="NVIDIA H200",
        kind="GPU",
        platform="cuda",
        topology="1x1x1",
        packages=("jax", "jax_cuda13_plugin"),
        memory_bytes=151_397_597_184,
        peaks={"BF16": 790e12, "F16": 790e12, "F32": 395e12, "F32 HIGHEST": 60e12},
        full_peak=989e12,
        bandwidth=4.0e12,
        least_launch_s=2.5e-6,
        description=gpu_descriptions.H200,
        reserved_bytes=2 * _GIB,
        source="four fifths of the data sheet's 989 TFLOP/s dense and of half of it in TF32, as which products of "
        "float32 count unless the program asks full precision, nine tenths of its 67 then, five sixths of its 4.8 "
        "TB/s: what good kernels reach; 2.5 us from one kernel's start to the next one's",
    ),
    "v5e": _tpu("v5e", "v5litepod-1", 16, peak=197e12, int8_peak=393e12, bandwidth=819e9),
    "v6e": _tpu("v6e", "v6e-1", 32, peak=918e12, int8_peak=1836e12, bandwidth=1638e9),
}

"""Descriptions of GPUs, by which XLA compiles for one that is not here.

A description is a `GpuTargetConfigProto` in text format. Its facts are those that the driver reports of the card, and
the versions of the libraries that the program will run with.
"""

from collections.abc import Mapping

_H200 = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 2**16 - 1,
    "block_dim_limit_z": 2**16 - 1,
    "core_count": 132,
    "fpus_per_core": 128,
    "threads_per_core_limit": 2048,
    "registers_per_core_limit": 2**16,
    "registers_per_block_limit": 2**16,
    "shared_memory_per_core": 228 * 2**10,
    "shared_memory_per_block": 48 * 2**10,
    "shared_memory_per_block_optin": 227 * 2**10,
    "l2_cache_size": 50 * 2**20,
    "device_memory_size": 151_397_597_184,
    "memory_bandwidth": 4_800_000_000_000,
    "clock_rate_ghz": 1.98,
    "device_address_bits": 64,
    "driver_version": "13.0.0",
    "runtime_version": "12.8.0",
    "compile_time_toolkit_version": "12.8.0",
    "dnn_version": "9.10.0",
}


def _description(name: str, major: int, device: Mapping[str, object]) -> str:
    facts = [f"{key}: {_text(value)}" for key, value in device.items()]
    capability = f"cuda_compute_capability {{ major: {major} feature_extension: ACCELERATED_FEATURES }}"
    lines = ["gpu_device_info {", *facts, capability, "}", 'platform_name: "CUDA"']
    return "\n".join([*lines, f"device_description_str: {_text(name)}"])


def _text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


H200 = _description("NVIDIA H200 141GB HBM3e", 9, _H200)

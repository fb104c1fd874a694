"""Time of exact attention in one kernel (Dao et al., 2022, "FlashAttention"), forward and backward, by PyTorch or JAX.

    python -m benchmarks.peers.flash_attention --framework=torch --length=16384 --heads=8 --key_dim=128

Causal attention of one sequence in bfloat16, by the implementation that a framework has for the device: on a GPU
PyTorch's `scaled_dot_product_attention`, restricted to FlashAttention and cuDNN's kernel, or JAX's
`dot_product_attention(implementation="cudnn")`. On a CPU it is whatever the framework does there, which only shows that
the command works. Needs neither TensorFlow nor the library. The last line is one JSON object.
"""

import argparse
import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any

from compilers.runs import timing

FRAMEWORKS = ("torch", "jax")
_SCALE = 0.1  # Of the random inputs; times do not depend on it.


def measure(framework: str, length: int, heads: int, key_dim: int, repeat: int) -> dict[str, Any]:
    """Measures forward and backward of one call.

    Args:
        framework: one of `FRAMEWORKS`.
        length: L.
        heads: H.
        key_dim: D.
        repeat: timed calls, after one that is not.

    Returns:
        `step_s`, the median; `device` and `implementation`.
    """
    call, device, implementation = (_torch if framework == "torch" else _jax)(length, heads, key_dim)
    call()
    return {"step_s": timing.median_seconds(call, repeat), "device": device, "implementation": implementation}


def _torch(length: int, heads: int, key_dim: int) -> tuple[Callable[[], None], str, str]:
    """Makes the call by PyTorch; returns it with the names of the device and of the implementation."""
    import torch
    from torch.nn import attention, functional

    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    vectors = [_SCALE * torch.randn(1, heads, length, key_dim, device=device, dtype=torch.bfloat16) for _ in range(4)]
    *inputs, upstream = vectors
    for x in inputs:
        x.requires_grad_()
    backends = [attention.SDPBackend.FLASH_ATTENTION, attention.SDPBackend.CUDNN_ATTENTION]

    def call() -> None:
        with attention.sdpa_kernel(backends) if on_gpu else contextlib.nullcontext():
            output = functional.scaled_dot_product_attention(*inputs, is_causal=True)
        torch.autograd.grad(output, inputs, upstream)
        if on_gpu:
            torch.cuda.synchronize()

    return call, torch.cuda.get_device_name() if on_gpu else "cpu", "scaled_dot_product_attention"


def _jax(length: int, heads: int, key_dim: int) -> tuple[Callable[[], None], str, str]:
    """Makes the call by JAX, as `_torch` does."""
    import jax

    device = jax.devices()[0]
    implementation = "cudnn" if device.platform == "gpu" else "xla"
    keys = jax.random.split(jax.random.key(0), 4)
    *inputs, upstream = (
        _SCALE * jax.random.normal(key, (1, length, heads, key_dim), jax.numpy.bfloat16) for key in keys
    )
    attend = functools.partial(jax.nn.dot_product_attention, is_causal=True, implementation=implementation)
    gradients = jax.jit(lambda inputs, upstream: jax.vjp(attend, *inputs)[1](upstream))
    return (
        lambda: jax.block_until_ready(gradients(inputs, upstream)) and None,
        device.device_kind,
        f"dot_product_attention, {implementation}",
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--framework", choices=FRAMEWORKS, required=True)
    for name, default in {"length": 16384, "heads": 8, "key_dim": 128, "repeat": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()

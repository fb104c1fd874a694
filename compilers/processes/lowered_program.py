"""Reads programs that TensorFlow lowered, for JAX's compilers; needs nothing but `jax`."""

from collections.abc import Iterator
from typing import Any

_COPY = "mhlo.copy"


def compiled(program: bytes, device: Any, loaded: bool) -> Any:
    """Compiles a program for a device of JAX.

    Args:
        program: a serialized `HloModuleProto`.
        device: that it is compiled for.
        loaded: whether it is to be run there; otherwise the device need not be here.

    Returns:
        The executable of JAX's compiler.
    """
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client

    compile_module = device.client.compile_and_load if loaded else device.client.compile
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    with mlir.make_ir_context():
        return compile_module(_module(program), xla_client.DeviceList((device,)), options)


def _module(program: bytes) -> Any:
    """The module that JAX's compilers take; to be called in a context of MLIR."""
    from jax._src.lib import xla_client
    from jaxlib.mlir import ir

    text = xla_client._xla.mlir.xla_computation_to_mlir_module(xla_client.XlaComputation(program))
    found = ir.Module.parse(text)
    for copy in list(_operations(found.operation, _COPY)):
        # TensorFlow lowers to copies, which change no value; JAX's dialect has none.
        (value,), (copied,) = copy.operands, copy.results
        copied.replace_all_uses_with(value)
        copy.erase()
    return found


def parameters(program: bytes) -> list[tuple[tuple[int, ...], Any]]:
    """The shape and the numpy dtype of each argument of a serialized `HloModuleProto`."""
    from jax._src.lib import xla_client

    shapes = xla_client.XlaComputation(program).program_shape().parameter_shapes()
    return [(shape.dimensions(), shape.numpy_dtype()) for shape in shapes]


def _operations(outer: Any, name: str) -> Iterator[Any]:
    """The operations of a name inside another one."""
    for region in outer.regions:
        for block in region.blocks:
            for view in block.operations:
                if view.operation.name == name:
                    yield view.operation
                yield from _operations(view.operation, name)

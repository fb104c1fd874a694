"""Reads programs that TensorFlow lowered, for JAX's compilers; needs nothing but `jax`."""

from typing import Any


def module(program: bytes) -> Any:
    """The module that JAX's compilers take; to be called in a context of MLIR, `jax`'s `make_ir_context()`.

    Args:
        program: a serialized `HloModuleProto`.
    """
    from jax._src.lib import xla_client
    from jaxlib.mlir import ir

    computation = xla_client.XlaComputation(program)
    found = ir.Module.parse(xla_client._xla.mlir.xla_computation_to_mlir_module(computation))
    _remove_copies(found, ir)
    return found


def parameters(program: bytes) -> list[tuple[tuple[int, ...], Any]]:
    """The shape and the numpy dtype of each argument of a serialized `HloModuleProto`."""
    from jax._src.lib import xla_client

    shapes = xla_client.XlaComputation(program).program_shape().parameter_shapes()
    return [(shape.dimensions(), shape.numpy_dtype()) for shape in shapes]


def _remove_copies(module: Any, ir: Any) -> None:
    """Removes copies that TensorFlow lowers to and JAX's dialect does not have; they change no value."""
    copies = []

    def collect(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for copy in copies:
        copy.results[0].replace_all_uses_with(copy.operands[0])
        copy.erase()

"""Memory and operations of a program that TensorFlow compiles for this machine, read without running it."""

from typing import Any

from tensorflow.compiler.xla.service import hlo_pb2

from compilers.hlo import launches, memory


def read(function: Any, *arguments: Any) -> dict[str, Any]:
    """Compiles a function with static shapes, without running it, and reads its memory and operations.

    Args:
        function: a `tf.function` with `jit_compile=True`.
        *arguments: `tf.TensorSpec` or tensors of static shapes.

    Returns:
        `temporary_bytes`, `argument_bytes`, `output_bytes`, `constant_bytes`; `matmul_flops`, `elementwise_operations`,
        `transcendentals`, `bytes_accessed`; `unknown_loops`, the number of loops counted as one iteration because their
        trip count is unknown; and `largest`, the largest buffers at the peak of temporary memory.
    """
    compiler = function.experimental_get_compiler_ir(*arguments)
    # The module with the buffers comes without the values of constants, which are needed for the trip counts of loops.
    with_buffers = hlo_pb2.HloProto.FromString(compiler(stage="optimized_hlo_proto_serialized"))
    with_constants = hlo_pb2.HloModuleProto.FromString(compiler(stage="optimized_hlo_serialized"))
    return {
        **memory.memory(with_buffers),
        **launches.count(launches.launches(with_constants)),
        "largest": memory.alive_at_peak(with_buffers),
    }

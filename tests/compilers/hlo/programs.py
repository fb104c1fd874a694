"""Programs in XLA's format, written by hand."""

import json
from typing import Any

from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.compiler.xla.service import hlo_pb2


class Computation:
    """A computation under construction, in a module.

    Args:
        module: the `HloModuleProto` that it is added to; the last one is the entry.
    """

    def __init__(self, module: Any):
        self._module, self.proto = module, module.computations.add()
        self.proto.id = len(module.computations)
        module.entry_computation_id = self.proto.id

    def add(self, opcode: str, shape: str, *operands: Any, calls: Any = (), config: Any = None, **fields: Any) -> Any:
        """Adds an instruction, which becomes the root.

        Args:
            opcode: of the instruction.
            shape: dtype and dimensions, such as `"BF16 8 16"`, with the space of its memory as in `"BF16 8 16 S(1)"`;
                with commas those of a tuple.
            *operands: instructions.
            calls: computations.
            config: what the compiler noted, as JSON.
            **fields: other fields of the proto.
        """
        found = self.proto.instructions.add(opcode=opcode, **fields)
        found.id = 1000 * self.proto.id + len(self.proto.instructions)
        first, *others = shape.split(", ")
        for text in [first, *others]:
            _describe(found.shape.tuple_shapes.add() if others else found.shape, text)
        found.operand_ids.extend(operand.id for operand in operands)
        found.called_computation_ids.extend(called.proto.id for called in calls)
        if config is not None:
            found.backend_config = json.dumps(config).encode()
        self.proto.root_id = found.id
        return found

    def dot(self, shape: str, left: Any, right: Any, contracted: int = 1) -> Any:
        """Adds a product that contracts a dimension of its left operand."""
        found = self.add("dot", shape, left, right)
        found.dot_dimension_numbers.lhs_contracting_dimensions.append(contracted)
        return found


def _describe(shape: Any, text: str) -> None:
    dtype, *dimensions = text.split()
    if dimensions and dimensions[-1].startswith("S("):
        shape.layout.memory_space = int(dimensions.pop()[2:-1])
    shape.element_type = xla_data_pb2.PrimitiveType.Value(dtype)
    shape.dimensions.extend(map(int, dimensions))


def module() -> Any:
    """An empty module."""
    return hlo_pb2.HloModuleProto()


def loop_and_library() -> Any:
    """A loop of 5 iterations around a product and a fusion, and after it a sort, and a product by a library."""
    program = module()
    fused = Computation(program)
    fused.add("exponential", "F32 64 16", fused.add("parameter", "F32 64 16"))
    body = Computation(program)
    x, w = body.add("parameter", "BF16 64 32"), body.add("parameter", "BF16 32 16")
    product = body.dot("F32 64 16", x, w)
    body.add("fusion", "F32 64 16", product, calls=[fused], fusion_kind="kLoop")
    condition = Computation(program)
    condition.add("constant", "PRED")
    entry = Computation(program)
    start = entry.add("parameter", "F32 64 16")
    loop = entry.add("while", "F32 64 16", start, calls=[body, condition], config={"known_trip_count": {"n": "5"}})
    entry.add("sort", "F32 64 16", loop, dimensions=[1])
    gemm = {"gemm_backend_config": {"dot_dimension_numbers": {"lhs_contracting_dimensions": ["0"]}}}
    entry.add("custom-call", "F32 16 16", loop, loop, config=gemm, custom_call_target="__cublas$gemm")
    return program

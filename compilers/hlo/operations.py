"""The operations of an instruction of a compiled program.

They are counted as in XLA's own cost analysis: two for each multiplication with addition of a matrix product, one for
each element of an elementwise result; transcendental functions are counted separately.
"""

import collections
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from tensorflow.compiler.xla import xla_data_pb2

from compilers.hlo.shapes import dtype, elements

_HIGHEST = xla_data_pb2.PrecisionConfig.HIGHEST

_TRANSCENDENTAL = {
    "exponential",
    "exponential-minus-one",
    "log",
    "log-plus-one",
    "tanh",
    "erf",
    "logistic",
    "cosine",
    "sine",
    "tan",
    "power",
    "sqrt",
    "rsqrt",
    "cbrt",
    "atan2",
}
_ARITHMETIC = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "remainder",
    "maximum",
    "minimum",
    "abs",
    "negate",
    "sign",
    "floor",
    "ceil",
    "round-nearest-afz",
    "round-nearest-even",
    "compare",
    "select",
    "clamp",
    "and",
    "or",
    "xor",
    "not",
    "shift-left",
    "shift-right-logical",
    "shift-right-arithmetic",
    "is-finite",
    "popcnt",
    "count-leading-zeros",
}


@dataclasses.dataclass(frozen=True)
class Operations:
    """Numbers of operations.

    Attributes:
        matmul: of matrix products, by the dtype of their left operands; `"F32 HIGHEST"` are those of float32 for which
            the program asks full precision, the others of it may be rounded to fewer bits.
        arithmetic: other, one for each element.
        transcendentals: of transcendental functions.
    """

    matmul: Mapping[str, int] = dataclasses.field(default_factory=dict)
    arithmetic: int = 0
    transcendentals: int = 0

    def times(self, number: int) -> "Operations":
        """The operations of so many executions."""
        matmul = {name: number * count for name, count in self.matmul.items()}
        return Operations(matmul, number * self.arithmetic, number * self.transcendentals)


def total(parts: Iterable[Operations]) -> Operations:
    """The sum of operations."""
    parts = list(parts)
    matmul: collections.Counter[str] = collections.Counter()
    for part in parts:
        matmul.update(part.matmul)
    return Operations(dict(matmul), sum(p.arithmetic for p in parts), sum(p.transcendentals for p in parts))


def operations(instruction: Any, operands: list[Any], computations: Mapping[int, Any]) -> Operations:
    """The operations of one execution of an instruction, those inside a fusion with it.

    Args:
        instruction: an `HloInstructionProto`, no loop and no condition.
        operands: the instructions that it takes the results of.
        computations: all of the program by id.
    """
    opcode = instruction.opcode
    if opcode == "fusion":
        inner = computations[instruction.called_computation_ids[0]]
        by_id = {i.id: i for i in inner.instructions}
        return total(operations(i, [by_id[x] for x in i.operand_ids], computations) for i in inner.instructions)
    count = elements(instruction.shape)
    if opcode == "dot":
        contracted = instruction.dot_dimension_numbers.lhs_contracting_dimensions
        return _product(count, operands[0], contracted, instruction.precision_config.operand_precision)
    if opcode == "convolution":
        kind = _kind(operands[0], instruction.precision_config.operand_precision)
        return Operations({kind: 2 * _multiplications(instruction, operands)})
    if opcode == "custom-call":
        return _product_by_library(instruction, operands)
    if opcode in ("reduce", "reduce-window"):
        return Operations(arithmetic=elements(operands[0].shape))
    if opcode == "sort":
        length = operands[0].shape.dimensions[instruction.dimensions[0]]
        return Operations(arithmetic=elements(operands[0].shape) * max(1, math.ceil(math.log2(length))))
    return Operations(arithmetic=count * (opcode in _ARITHMETIC), transcendentals=count * (opcode in _TRANSCENDENTAL))


def backend_config(instruction: Any) -> dict[str, Any]:
    """What a compiler noted about an instruction for itself; empty if it noted nothing that can be read."""
    try:
        found = json.loads(instruction.backend_config or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _product(count: int, left: Any, contracted: Iterable[int], precisions: Iterable[Any]) -> Operations:
    each = 2 * math.prod(left.shape.dimensions[i] for i in contracted)
    return Operations({_kind(left, precisions): count * each})


def _kind(left: Any, precisions: Iterable[Any]) -> str:
    """The kind of a product as in `Operations.matmul`; precisions are numbers, or names as in JSON."""
    found = dtype(left.shape)
    return "F32 HIGHEST" if found == "F32" and {*precisions} & {_HIGHEST, "HIGHEST"} else found


def _product_by_library(call: Any, operands: list[Any]) -> Operations:
    """The operations of a product that cuBLAS computes; none of another call."""
    gemm = backend_config(call).get("gemm_backend_config", {})
    contracted = gemm.get("dot_dimension_numbers", {}).get("lhs_contracting_dimensions", [])
    if not contracted:
        return Operations()
    precisions = gemm.get("precision_config", {}).get("operand_precision", [])
    # Besides the product, a call of a library returns the memory that it worked in.
    shape = call.shape.tuple_shapes[0] if call.shape.tuple_shapes else call.shape
    return _product(elements(shape), operands[0], map(int, contracted), precisions)


def _multiplications(convolution: Any, operands: list[Any]) -> int:
    """The multiplications of a convolution, which is how a TPU computes matrix products.

    Those with padding and with holes of a dilation are none: batches of products are convolutions that have many.
    """
    numbers = convolution.convolution_dimension_numbers
    left, right, result = operands[0].shape.dimensions, operands[1].shape.dimensions, convolution.shape.dimensions
    batch = left[numbers.input_batch_dimension] // max(1, convolution.batch_group_count)
    features = right[numbers.kernel_input_feature_dimension] * right[numbers.kernel_output_feature_dimension]
    spatial = zip(
        convolution.window.dimensions, numbers.input_spatial_dimensions, numbers.output_spatial_dimensions, strict=True
    )
    return batch * features * math.prod(_pairs(window, left[i], result[o]) for window, i, o in spatial)


def _pairs(window: Any, inputs: int, outputs: int) -> int:
    """The pairs of an output and a position of the window that meet an input; there may be billions."""
    stride, dilation = max(1, window.stride), max(1, window.base_dilation)
    span = (inputs - 1) * dilation + 1
    offset = np.arange(window.size) * max(1, window.window_dilation) - window.padding_low
    # Output o meets an input where o * stride + offset is within the span, and no hole: a multiple of the dilation.
    first = np.maximum(0, -(offset // stride))
    last = np.minimum(outputs - 1, (span - 1 - offset) // stride)
    common = math.gcd(stride, dilation)
    period = dilation // common
    residue = -(offset // common) * pow(stride // common, -1, period) % period
    met = (last - residue) // period - (first - 1 - residue) // period
    return int(np.sum(np.where((offset % common == 0) & (last >= first), met, 0)))

"""Memory and operations of a program compiled by XLA, read from the program without running it.

Memory comes from the compiler's buffer assignment. Operations are counted as in XLA's own cost analysis, with loops
counted once for each iteration: two for each multiplication with addition of a matrix product, one for each element of
an elementwise result; transcendental functions are counted separately. An instruction accesses the bytes of its
operands and of its result, a fusion those that enter and leave it, and a slice, a gather or an update only those that
it moves.
"""

import collections
import math
from collections.abc import Iterator
from typing import Any

from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.compiler.xla.service import hlo_pb2

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
# Instructions that only name or regroup values.
_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "add-dependency",
}
_BITS = {"PRED": 8, "BF16": 16, "TOKEN": 0, "OPAQUE_TYPE": 0, "F8E4M3FN": 8, "F8E5M2": 8}

# The counted quantities, in the sequence of `_Counter`.
_QUANTITIES = ("matmul_flops", "elementwise_operations", "transcendentals", "bytes_accessed")


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
    return {**memory(with_buffers), **count(with_constants), "largest": alive_at_peak(with_buffers)}


def memory(program: Any) -> dict[str, int]:
    """The bytes of the buffers of an `HloProto` by purpose."""
    sizes: collections.Counter[str] = collections.Counter()
    for buffer in program.buffer_assignment.buffer_allocations:
        if buffer.is_entry_computation_parameter:
            sizes["argument_bytes"] += buffer.size
        elif buffer.maybe_live_out:
            sizes["output_bytes"] += buffer.size
        elif buffer.is_constant:
            sizes["constant_bytes"] += buffer.size
        else:
            sizes["temporary_bytes"] += buffer.size
    return {name: sizes[name] for name in ("temporary_bytes", "argument_bytes", "output_bytes", "constant_bytes")}


def alive_at_peak(program: Any, most: int = 8) -> list[dict[str, Any]]:
    """The largest buffers that are alive at the peak of the temporary memory of an `HloProto`.

    Args:
        program: with its buffer assignment, whose simulation of the heap is replayed.
        most: how many kinds of buffers.

    Returns:
        For each kind `bytes` of all of them, their `number`, the `opcode` of the instruction that makes them, its
        `shape`, and the `name` of the TensorFlow operation it comes from.
    """
    assignment = program.buffer_assignment
    made_by = {i.id: i for c in program.hlo_module.computations for i in c.instructions}
    buffers = {b.id: b for b in assignment.logical_buffers}
    peak: dict[int, int] = {}
    for trace in assignment.heap_simulator_traces:
        alive: dict[int, int] = {}
        now = largest = 0
        for event in trace.events:
            if event.kind == event.FREE:
                now -= alive.pop(event.buffer_id)
                continue
            # A buffer that reuses another's memory takes none of its own.
            alive[event.buffer_id] = buffers[event.buffer_id].size if event.kind == event.ALLOC else 0
            now += alive[event.buffer_id]
            if now > largest:
                largest, at_largest = now, dict(alive)
        if largest > sum(peak.values()):
            peak = at_largest
    kinds: dict[tuple[str, str, str], list[int]] = collections.defaultdict(list)
    for identifier, size in peak.items():
        instruction = made_by[buffers[identifier].defined_at.instruction_id]
        name = instruction.metadata.op_name.rsplit("/", 1)[-1]
        kinds[instruction.opcode, str(list(instruction.shape.dimensions)), name].append(size)
    largest_kinds = sorted(kinds.items(), key=lambda kind: -sum(kind[1]))[:most]
    return [
        {"bytes": sum(sizes), "number": len(sizes), "opcode": opcode, "shape": shape, "name": name}
        for (opcode, shape, name), sizes in largest_kinds
    ]


def count(module: Any) -> dict[str, int]:
    """Counts the operations of an `HloModuleProto`."""
    counter = _Counter(module)
    totals = counter.totals(module.entry_computation_id)
    counted = dict(zip(_QUANTITIES, totals, strict=True))
    return {**counted, "unknown_loops": counter.unknown_loops}


class _Counter:
    def __init__(self, module: Any):
        self.computations = {c.id: c for c in module.computations}
        self.unknown_loops = 0
        self._known: dict[int, tuple[int, ...]] = {}

    def totals(self, identifier: int) -> tuple[int, ...]:
        """The quantities of one execution of a computation."""
        if identifier not in self._known:
            computation = self.computations[identifier]
            by_id = {i.id: i for i in computation.instructions}
            rows = [self._instruction(i, by_id) for i in computation.instructions]
            self._known[identifier] = tuple(sum(column) for column in zip(*rows, strict=True))
        return self._known[identifier]

    def _instruction(self, instruction: Any, by_id: dict[int, Any]) -> tuple[int, ...]:
        opcode, called = instruction.opcode, list(instruction.called_computation_ids)
        if opcode in _FREE:
            return (0, 0, 0, 0)
        if opcode == "while":
            body, condition = called
            trips = self._trip_count(condition)
            return tuple(trips * x for x in self.totals(body))
        if opcode == "conditional":
            return max((self.totals(branch) for branch in called), key=sum)
        if opcode == "call":
            return self.totals(called[0])
        operands = [by_id[i] for i in instruction.operand_ids]
        moved = self._moved(instruction, operands)
        if opcode == "fusion":
            return (*self.totals(called[0])[:3], moved)
        elements = _elements(instruction.shape)
        if opcode == "dot":
            contracted = instruction.dot_dimension_numbers.lhs_contracting_dimensions
            return (2 * elements * math.prod(operands[0].shape.dimensions[i] for i in contracted), 0, 0, moved)
        if opcode in ("reduce", "reduce-window"):
            return (0, _elements(operands[0].shape), 0, moved)
        if opcode == "sort":
            length = operands[0].shape.dimensions[instruction.dimensions[0]]
            return (0, _elements(operands[0].shape) * max(1, math.ceil(math.log2(length))), 0, moved)
        return (0, elements * (opcode in _ARITHMETIC), elements * (opcode in _TRANSCENDENTAL), moved)

    def _moved(self, instruction: Any, operands: list[Any]) -> int:
        """The bytes that an instruction reads and writes."""
        opcode = instruction.opcode
        result = _size(instruction.shape)
        if opcode in ("broadcast", "iota"):
            return result + sum(_size(x.shape) for x in operands)
        if opcode in ("slice", "dynamic-slice"):
            return 2 * result
        if opcode == "gather":
            return 2 * result + _size(operands[1].shape)
        if opcode == "dynamic-update-slice":
            return 2 * _size(operands[1].shape)
        if opcode == "scatter":
            return sum(_size(x.shape) for x in operands[1:]) + _size(operands[-1].shape)
        if opcode == "fusion":
            return self._moved_by_fusion(instruction, operands)
        return result + sum(_size(x.shape) for x in operands)

    def _moved_by_fusion(self, fusion: Any, operands: list[Any]) -> int:
        inner = self.computations[fusion.called_computation_ids[0]]
        by_id = {i.id: i for i in inner.instructions}
        users: dict[int, list[Any]] = collections.defaultdict(list)
        for instruction in inner.instructions:
            for identifier in instruction.operand_ids:
                users[identifier].append(instruction)
        moved = 0
        for parameter in (i for i in inner.instructions if i.opcode == "parameter"):
            moved += _read(parameter, users, _size(operands[parameter.parameter_number].shape))
        root = by_id[inner.root_id]
        for part in [by_id[i] for i in root.operand_ids] if root.opcode == "tuple" else [root]:
            while part.opcode == "bitcast":
                part = by_id[part.operand_ids[0]]
            written = by_id[part.operand_ids[1]] if part.opcode == "dynamic-update-slice" else part
            moved += _size(written.shape)
        return moved

    def _trip_count(self, condition: int) -> int:
        """The iterations of a loop that counts up from 0 by 1, as loops of TensorFlow and of XLA do."""
        bounds: list[int] = []
        for instruction, by_id in self._within(condition):
            if instruction.opcode == "compare" and instruction.comparison_direction == "LT":
                bounds += _integers(by_id[instruction.operand_ids[1]])
        if not bounds:
            self.unknown_loops += 1
            return 1
        return min(bounds)

    def _within(self, identifier: int) -> Iterator[tuple[Any, dict[int, Any]]]:
        """All instructions of a computation and of the computations that it calls."""
        computation = self.computations[identifier]
        by_id = {i.id: i for i in computation.instructions}
        for instruction in computation.instructions:
            yield instruction, by_id
            for called in instruction.called_computation_ids:
                yield from self._within(called)


def _read(parameter: Any, users: dict[int, list[Any]], size: int) -> int:
    """The bytes that a fusion reads of an operand: all, or only the slices that it takes."""
    reached = [(parameter, user) for user in users[parameter.id]]
    total = 0
    while reached:
        source, user = reached.pop()
        first = user.operand_ids[0] == source.id
        if user.opcode == "bitcast":
            reached += [(user, further) for further in users[user.id]]
        elif first and user.opcode in ("slice", "dynamic-slice", "gather"):
            total += _size(user.shape)
        elif not (first and user.opcode == "dynamic-update-slice"):  # which overwrites it in place
            return size
    return min(total, size)


def _integers(instruction: Any) -> list[int]:
    """The values of an integer constant; none of anything else."""
    literal = instruction.literal
    return [*literal.s32s, *literal.s64s, *literal.u32s, *literal.u64s] if instruction.opcode == "constant" else []


def _elements(shape: Any) -> int:
    return sum(_elements(x) for x in shape.tuple_shapes) if shape.tuple_shapes else math.prod(shape.dimensions)


def _size(shape: Any) -> int:
    """Bytes."""
    if shape.tuple_shapes:
        return sum(_size(x) for x in shape.tuple_shapes)
    name = xla_data_pb2.PrimitiveType.Name(shape.element_type)
    bits = _BITS.get(name) or (0 if name in _BITS else int("".join(c for c in name if c.isdigit())))
    return math.prod(shape.dimensions) * bits // 8

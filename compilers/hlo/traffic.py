"""The bytes of main memory that an instruction of a compiled program reads and writes.

An instruction accesses the bytes of its operands and of its result, a fusion those that enter and leave it, and a
slice, a gather or an update only those that it moves. What a TPU's program keeps on the chip is no traffic.
"""

import collections
from collections.abc import Mapping
from typing import Any

from compilers.hlo.shapes import MAIN_MEMORY, dtype, main_memory_size, size


def moved(instruction: Any, operands: list[Any], computations: Mapping[int, Any]) -> int:
    """The bytes that an instruction reads and writes.

    Args:
        instruction: an `HloInstructionProto`.
        operands: the instructions that it takes the results of.
        computations: all of the program by id, for the inside of a fusion.
    """
    opcode, shape = instruction.opcode, instruction.shape
    if opcode in ("slice", "dynamic-slice"):
        return _part(operands[0].shape, shape) + main_memory_size(shape)
    if opcode == "gather":
        return _part(operands[0].shape, shape) + main_memory_size(shape) + main_memory_size(operands[1].shape)
    if opcode == "dynamic-update-slice":
        return main_memory_size(operands[1].shape) + _part(shape, operands[1].shape)
    if opcode == "scatter":
        return sum(main_memory_size(x.shape) for x in operands[1:]) + _part(operands[0].shape, operands[-1].shape)
    if opcode == "fusion":
        inner = computations[instruction.called_computation_ids[0]]
        read = sum(_read(inner, number, x.shape, computations) for number, x in enumerate(operands))
        return read + _written(inner, inner.root_id, computations)
    if opcode == "copy-start":  # Its result is the target, the source and a context.
        return main_memory_size(operands[0].shape) + main_memory_size(shape.tuple_shapes[0])
    return sum(main_memory_size(x.shape) for x in operands) + sum(map(main_memory_size, _results(instruction)))


def _part(whole: Any, part: Any) -> int:
    """The bytes of a part of an array, if the array is in main memory."""
    return size(part) if whole.layout.memory_space == MAIN_MEMORY else 0


def _results(instruction: Any) -> list[Any]:
    """The shapes of all results; of a product by cuBLAS without the memory that it may work in, its last result."""
    parts = list(instruction.shape.tuple_shapes) or [instruction.shape]
    if instruction.custom_call_target.startswith("__cublas") and len(parts) > 1 and dtype(parts[-1]) == "S8":
        return parts[:-1]
    return parts


def _read(inner: Any, number: int, shape: Any, computations: Mapping[int, Any]) -> int:
    """The bytes that a fusion reads of an operand: all, or only the slices that it takes.

    Args:
        inner: the computation inside.
        number: of the operand.
        shape: of the operand.
        computations: all of the program by id, for fusions inside.
    """
    whole = main_memory_size(shape)
    if not whole:
        return 0
    readers: dict[int, list[Any]] = collections.defaultdict(list)
    for instruction in inner.instructions:
        for identifier in set(instruction.operand_ids):
            readers[identifier].append(instruction)
    (parameter,) = (i for i in inner.instructions if i.opcode == "parameter" and i.parameter_number == number)
    total, values = 0, [parameter]
    while values:  # The operand itself, and the same under another shape.
        value = values.pop()
        for reader in readers[value.id]:
            if reader.opcode == "bitcast":
                values.append(reader)
            else:
                total += _read_by(reader, value, shape, computations)
    return min(total, whole)


def _read_by(reader: Any, value: Any, shape: Any, computations: Mapping[int, Any]) -> int:
    """The bytes that one instruction inside a fusion reads of an operand, which `value` is."""
    used_as = [position for position, identifier in enumerate(reader.operand_ids) if identifier == value.id]
    if reader.opcode == "fusion":
        within = computations[reader.called_computation_ids[0]]
        return sum(_read(within, position, shape, computations) for position in used_as)
    if used_as == [0] and reader.opcode in ("slice", "dynamic-slice", "gather"):
        return size(reader.shape)
    if used_as == [0] and reader.opcode == "dynamic-update-slice":  # It overwrites the operand in place.
        return 0
    return size(shape)


def _written(inner: Any, identifier: int, computations: Mapping[int, Any]) -> int:
    """The bytes that a fusion writes of a result of its inside: all, or only the slice that it updates in place."""
    by_id = {i.id: i for i in inner.instructions}
    result = made = by_id[identifier]
    while made.opcode == "bitcast":
        made = by_id[made.operand_ids[0]]
    if made.opcode == "tuple":
        return sum(_written(inner, part, computations) for part in made.operand_ids)
    if made.opcode == "fusion":
        within = computations[made.called_computation_ids[0]]
        return _written(within, within.root_id, computations)
    if made.opcode == "dynamic-update-slice":
        return _part(result.shape, by_id[made.operand_ids[1]].shape)
    return main_memory_size(result.shape)

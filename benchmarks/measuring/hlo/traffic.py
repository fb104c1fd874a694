"""The bytes that an instruction of a compiled program reads and writes.

An instruction accesses the bytes of its operands and of its result, a fusion those that enter and leave it, and a
slice, a gather or an update only those that it moves.
"""

import collections
from collections.abc import Mapping
from typing import Any

from benchmarks.measuring.hlo.shapes import size


def moved(instruction: Any, operands: list[Any], computations: Mapping[int, Any]) -> int:
    """The bytes that an instruction reads and writes.

    Args:
        instruction: an `HloInstructionProto`.
        operands: the instructions that it takes the results of.
        computations: all of the program by id, for the inside of a fusion.
    """
    opcode = instruction.opcode
    result = size(instruction.shape)
    if opcode in ("slice", "dynamic-slice"):
        return 2 * result
    if opcode == "gather":
        return 2 * result + size(operands[1].shape)
    if opcode == "dynamic-update-slice":
        return 2 * size(operands[1].shape)
    if opcode == "scatter":
        return sum(size(x.shape) for x in operands[1:]) + size(operands[-1].shape)
    if opcode == "fusion":
        inner = computations[instruction.called_computation_ids[0]]
        read = sum(_read(inner, number, size(x.shape), computations) for number, x in enumerate(operands))
        return read + _written(inner, inner.root_id, computations)
    return result + sum(size(x.shape) for x in operands)


def _read(inner: Any, number: int, whole: int, computations: Mapping[int, Any]) -> int:
    """The bytes that a fusion reads of an operand: all, or only the slices that it takes.

    Args:
        inner: the computation inside.
        number: of the operand.
        whole: the bytes of the operand.
        computations: all of the program by id, for fusions inside.
    """
    users: dict[int, list[Any]] = collections.defaultdict(list)
    for instruction in inner.instructions:
        for identifier in set(instruction.operand_ids):
            users[identifier].append(instruction)
    parameter = next(i for i in inner.instructions if i.opcode == "parameter" and i.parameter_number == number)
    reached = [(parameter, user) for user in users[parameter.id]]
    total = 0
    while reached and total < whole:
        source, user = reached.pop()
        first = user.operand_ids[0] == source.id
        if user.opcode == "bitcast":
            reached += [(user, further) for further in users[user.id]]
        elif user.opcode == "fusion":
            within = computations[user.called_computation_ids[0]]
            positions = [position for position, identifier in enumerate(user.operand_ids) if identifier == source.id]
            total += sum(_read(within, position, whole, computations) for position in positions)
        elif first and user.opcode in ("slice", "dynamic-slice", "gather"):
            total += size(user.shape)
        elif not (first and user.opcode == "dynamic-update-slice"):  # which overwrites it in place
            return whole
    return min(total, whole)


def _written(inner: Any, identifier: int, computations: Mapping[int, Any]) -> int:
    """The bytes that a fusion writes of a result of its inside: all, or only the slice that it updates in place."""
    by_id = {i.id: i for i in inner.instructions}
    made = by_id[identifier]
    while made.opcode == "bitcast":
        made = by_id[made.operand_ids[0]]
    if made.opcode == "tuple":
        return sum(_written(inner, part, computations) for part in made.operand_ids)
    if made.opcode == "fusion":
        within = computations[made.called_computation_ids[0]]
        return _written(within, within.root_id, computations)
    return size(by_id[made.operand_ids[1]].shape if made.opcode == "dynamic-update-slice" else made.shape)

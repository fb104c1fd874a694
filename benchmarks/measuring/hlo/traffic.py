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
        return _moved_by_fusion(computations[instruction.called_computation_ids[0]], operands)
    return result + sum(size(x.shape) for x in operands)


def _moved_by_fusion(inner: Any, operands: list[Any]) -> int:
    by_id = {i.id: i for i in inner.instructions}
    users: dict[int, list[Any]] = collections.defaultdict(list)
    for instruction in inner.instructions:
        for identifier in instruction.operand_ids:
            users[identifier].append(instruction)
    total = 0
    for parameter in (i for i in inner.instructions if i.opcode == "parameter"):
        total += _read(parameter, users, size(operands[parameter.parameter_number].shape))
    root = by_id[inner.root_id]
    for part in [by_id[i] for i in root.operand_ids] if root.opcode == "tuple" else [root]:
        while part.opcode == "bitcast":
            part = by_id[part.operand_ids[0]]
        written = by_id[part.operand_ids[1]] if part.opcode == "dynamic-update-slice" else part
        total += size(written.shape)
    return total


def _read(parameter: Any, users: Mapping[int, list[Any]], whole: int) -> int:
    """The bytes that a fusion reads of an operand: all, or only the slices that it takes."""
    reached = [(parameter, user) for user in users[parameter.id]]
    total = 0
    while reached:
        source, user = reached.pop()
        first = user.operand_ids[0] == source.id
        if user.opcode == "bitcast":
            reached += [(user, further) for further in users[user.id]]
        elif first and user.opcode in ("slice", "dynamic-slice", "gather"):
            total += size(user.shape)
        elif not (first and user.opcode == "dynamic-update-slice"):  # which overwrites it in place
            return whole
    return min(total, whole)

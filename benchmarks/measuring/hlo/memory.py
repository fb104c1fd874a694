"""The memory of a compiled program, from the compiler's assignment of buffers.

Only the device's main memory counts: a buffer's color is the space that it is in, and those of others than the first
are caches that a program manages itself.
"""

import collections
from typing import Any

BYTES = ("temporary_bytes", "argument_bytes", "output_bytes", "constant_bytes")
"""The kinds of memory."""

_MAIN = 0


def memory(program: Any) -> dict[str, int]:
    """The bytes of the buffers of an `HloProto` by purpose, named as in `BYTES`."""
    sizes: collections.Counter[str] = collections.Counter()
    for buffer in program.buffer_assignment.buffer_allocations:
        if buffer.color != _MAIN:
            continue
        if buffer.is_entry_computation_parameter:
            sizes["argument_bytes"] += buffer.size
        elif buffer.maybe_live_out:
            sizes["output_bytes"] += buffer.size
        elif buffer.is_constant:
            sizes["constant_bytes"] += buffer.size
        else:
            sizes["temporary_bytes"] += buffer.size
    return {name: sizes[name] for name in BYTES}


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
    elsewhere = {a.index for a in assignment.buffer_allocations if a.color != _MAIN}
    peak: dict[int, int] = {}
    for trace in assignment.heap_simulator_traces:
        if trace.buffer_allocation_index in elsewhere:
            continue
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
        defined_at = buffers[identifier].defined_at
        instruction = made_by[defined_at.instruction_id]
        shape = instruction.shape
        for index in defined_at.shape_index:
            shape = shape.tuple_shapes[index]
        name = instruction.metadata.op_name.rsplit("/", 1)[-1]
        kinds[instruction.opcode, str(list(shape.dimensions)), name].append(size)
    largest_kinds = sorted(kinds.items(), key=lambda kind: -sum(kind[1]))[:most]
    return [
        {"bytes": sum(sizes), "number": len(sizes), "opcode": opcode, "shape": shape, "name": name}
        for (opcode, shape, name), sizes in largest_kinds
    ]

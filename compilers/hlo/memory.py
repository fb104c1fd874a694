"""The memory of a compiled program, from the compiler's assignment of buffers.

Only the device's main memory counts: a buffer's color is the space that it is in, and those of others than the first
are caches that a program manages itself.
"""

import collections
from collections.abc import Mapping
from typing import Any

from compilers.hlo import shapes

BYTES = ("temporary_bytes", "argument_bytes", "output_bytes", "constant_bytes")
"""The kinds of memory."""


def memory(program: Any) -> dict[str, int]:
    """The bytes of the buffers of an `HloProto` by purpose, named as in `BYTES`."""
    sizes: collections.Counter[str] = collections.Counter()
    for buffer in program.buffer_assignment.buffer_allocations:
        if buffer.color != shapes.MAIN_MEMORY:
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
        For each kind `bytes` of all of them, of which `padding_bytes` are not content but padding of the device's
        layout; their `number`, the `opcode` of the instruction that makes them, its `shape`, and the `name` of the
        TensorFlow operation it comes from.
    """
    assignment = program.buffer_assignment
    made_by = {i.id: i for c in program.hlo_module.computations for i in c.instructions}
    buffers = {b.id: b for b in assignment.logical_buffers}
    elsewhere = {a.index for a in assignment.buffer_allocations if a.color != shapes.MAIN_MEMORY}
    traces = [t for t in assignment.heap_simulator_traces if t.buffer_allocation_index not in elsewhere]
    peaks = [_peak(trace, buffers) for trace in traces]
    kinds: dict[tuple[str, str, str], list[tuple[int, int]]] = collections.defaultdict(list)
    for identifier, size in max(peaks, key=lambda peak: sum(peak.values()), default={}).items():
        defined_at = buffers[identifier].defined_at
        instruction = made_by[defined_at.instruction_id]
        shape = instruction.shape
        for index in defined_at.shape_index:
            shape = shape.tuple_shapes[index]
        name = instruction.metadata.op_name.rsplit("/", 1)[-1]
        padding = 0 if shape.tuple_shapes else max(0, size - shapes.size(shape))
        kinds[instruction.opcode, str(list(shape.dimensions)), name].append((size, padding))
    found: list[dict[str, Any]] = [
        {
            "bytes": sum(size for size, _ in sizes),
            "padding_bytes": sum(padding for _, padding in sizes),
            "number": len(sizes),
            "opcode": opcode,
            "shape": shape,
            "name": name,
        }
        for (opcode, shape, name), sizes in kinds.items()
    ]
    return sorted(found, key=lambda kind: -kind["bytes"])[:most]


def _peak(trace: Any, buffers: Mapping[int, Any]) -> dict[int, int]:
    """The sizes of the buffers that are alive when they take most, by their ids."""
    alive: dict[int, int] = {}
    # A buffer that is written into another's memory takes none of its own, but that is in use until both are freed.
    owners: dict[int, int] = {}
    users: collections.Counter[int] = collections.Counter()
    peak: dict[int, int] = {}
    now = largest = 0
    for event in trace.events:
        identifier = event.buffer_id
        if event.kind == event.FREE:
            owner = owners[identifier]
            users[owner] -= 1
            if not users[owner]:
                now -= alive.pop(owner)
            continue
        owner = identifier if event.kind == event.ALLOC else owners[event.share_with_canonical_id]
        owners[identifier] = owner
        if not users[owner]:
            alive[owner] = buffers[owner].size
            now += alive[owner]
        users[owner] += 1
        if now > largest:
            largest, peak = now, dict(alive)
    return peak

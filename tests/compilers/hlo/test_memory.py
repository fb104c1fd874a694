"""Memory read from assignments of buffers written by hand."""

import pytest
from tensorflow.compiler.xla.service import hlo_pb2

from compilers.hlo import memory
from tests.compilers.hlo.programs import Computation

MAIN, CACHE = 0, 1


@pytest.fixture
def program():
    """A product whose memory a negation overwrites, beside an exponential in main memory and one in a cache."""
    program = hlo_pb2.HloProto()
    entry = Computation(program.hlo_module)
    x = entry.add("parameter", "F32 16 16")
    made = [entry.add("dot", "F32 16 12", x, x), entry.add("negate", "F32 16 12", x)]
    made += [entry.add("exponential", "F32 8", x), entry.add("exponential", "F32 9", x)]
    sizes = [16 * 16 * 4, 16 * 16 * 4, 32, 4096]  # The layout of the product has rows of 16.
    assignment = program.buffer_assignment
    for identifier, (instruction, size) in enumerate(zip(made, sizes, strict=True)):
        buffer = assignment.logical_buffers.add(id=identifier, size=size)
        buffer.defined_at.instruction_id = instruction.id
    kinds = [{}, {"is_entry_computation_parameter": True}, {"maybe_live_out": True}, {"is_constant": True}]
    for index, kind in enumerate(kinds):
        assignment.buffer_allocations.add(index=index, size=1056 + index, color=MAIN, **kind)
    assignment.buffer_allocations.add(index=len(kinds), size=2**20, color=CACHE)
    return program


def _trace(program, allocation, *events):
    trace = program.buffer_assignment.heap_simulator_traces.add(buffer_allocation_index=allocation)
    for kind, identifier, *shared in events:
        event = trace.events.add(kind=trace.Event.Kind.Value(kind), buffer_id=identifier)
        if shared:
            event.share_with_canonical_id = shared[0]


def test_bytes_by_purpose_are_those_of_the_main_memory(program):
    expected = {"temporary_bytes": 1056, "argument_bytes": 1057, "output_bytes": 1058, "constant_bytes": 1059}
    assert memory.memory(program) == expected


def test_memory_is_in_use_until_all_that_share_it_are_freed(program):
    _trace(program, 0, ("ALLOC", 0), ("SHARE_WITH", 1, 0), ("FREE", 0), ("ALLOC", 2), ("FREE", 1), ("FREE", 2))
    _trace(program, 4, ("ALLOC", 3), ("FREE", 3))
    product, exponential = memory.alive_at_peak(program)
    assert product["opcode"] == "dot" and product["bytes"] == 1024 and product["padding_bytes"] == 1024 - 16 * 12 * 4
    assert exponential["shape"] == "[8]" and exponential["bytes"] == 32 and exponential["padding_bytes"] == 0


def test_memory_that_was_freed_may_be_shared_again(program):
    _trace(program, 0, ("ALLOC", 0), ("FREE", 0), ("ALLOC", 2), ("FREE", 2), ("SHARE_WITH", 1, 0), ("FREE", 1))
    (product,) = memory.alive_at_peak(program)
    assert product["bytes"] == 1024 and product["number"] == 1


def test_a_program_without_temporary_memory_has_no_peak(program):
    assert memory.alive_at_peak(program) == []

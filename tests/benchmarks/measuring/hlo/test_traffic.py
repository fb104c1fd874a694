"""The bytes that fusions move, those inside fusions too."""

import pytest

from benchmarks.measuring.hlo import launches
from tests.benchmarks.measuring.hlo.programs import Computation, module

ROW = 4 * 100
ARRAY = 50 * ROW


def _moved(make_inside, *shapes):
    """The bytes of a fusion whose inside `make_inside` adds; also where that is in a fusion inside a fusion."""
    moved = set()
    for depth in (1, 2):
        program = module()
        inside = Computation(program)
        result = make_inside(inside, *(inside.add("parameter", s, parameter_number=n) for n, s in enumerate(shapes)))
        called, shape = inside, f"F32 {' '.join(map(str, result.shape.dimensions))}"
        for _ in range(depth):
            outside = Computation(program)
            operands = [outside.add("parameter", s, parameter_number=n) for n, s in enumerate(shapes)]
            outside.add("fusion", shape, *operands, calls=[called], fusion_kind="kLoop")
            called = outside
        (launch,) = launches.launches(program).all
        moved.add(launch.bytes)
    (found,) = moved
    return found


def test_a_slice_of_an_operand_is_all_that_is_read():
    def inside(computation, x, index):
        sliced = computation.add("dynamic-slice", "F32 1 100", computation.add("bitcast", "F32 50 100", x), index)
        return computation.add("negate", "F32 1 100", sliced)

    assert _moved(inside, "F32 5000", "S32") == 2 * ROW + 4


def test_an_operand_that_is_sliced_and_used_is_read_once():
    def inside(computation, x, index):
        computation.add("dynamic-slice", "F32 1 100", x, index)
        return computation.add("negate", "F32 50 100", x)

    assert _moved(inside, "F32 50 100", "S32") == 2 * ARRAY + 4


def test_an_update_in_place_writes_only_the_update():
    def inside(computation, x, update, index):
        updated = computation.add("dynamic-update-slice", "F32 50 100", x, update, index)
        return computation.add("bitcast", "F32 5000", updated)

    assert _moved(inside, "F32 50 100", "F32 1 100", "S32") == 2 * ROW + 4


@pytest.mark.parametrize("opcode", ["slice", "dynamic-slice"])
def test_a_slice_by_itself(opcode):
    program = module()
    entry = Computation(program)
    entry.add(opcode, "F32 1 100", entry.add("parameter", "F32 50 100"))
    assert launches.launches(program).all[0].bytes == 2 * ROW

"""The bytes that fusions move, those inside fusions too."""

import pytest

from compilers.hlo import launches
from tests.compilers.hlo.programs import Computation, module

ROW = 4 * 100
ARRAY = 50 * ROW


def _moved_by(opcode, result, *operands, **fields):
    """The bytes of one instruction whose operands are parameters of these shapes."""
    program = module()
    entry = Computation(program)
    entry.add(opcode, result, *(entry.add("parameter", shape) for shape in operands), **fields)
    (launch,) = launches.launches(program).all
    return launch.bytes


def _moved(make_inside, *shapes):
    """The bytes of a fusion whose inside `make_inside` adds; also where that is in a fusion inside a fusion."""
    moved = set()
    for depth in (1, 2):
        program = module()
        inside = Computation(program)
        result = make_inside(inside, *(inside.add("parameter", s, parameter_number=n) for n, s in enumerate(shapes)))
        called, shape = (
            inside,
            f"F32 {' '.join(map(str, result.shape.dimensions))} S({result.shape.layout.memory_space})",
        )
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
    assert _moved_by(opcode, "F32 1 100", "F32 50 100") == 2 * ROW


@pytest.mark.parametrize(
    ("opcode", "result", "operands", "moved"),
    [
        ("negate", "F32 50 100 S(1)", ["F32 50 100"], ARRAY),
        ("negate", "F32 50 100", ["F32 50 100 S(1)"], ARRAY),
        ("add", "F32 50 100 S(1)", ["F32 50 100 S(1)", "F32 50 100"], ARRAY),
        ("reduce", "F32 50 100 S(1), F32 50 100", ["F32 50 100 S(1)", "F32 50 100"], 2 * ARRAY),
        ("dynamic-slice", "F32 1 100 S(1)", ["F32 50 100", "S32 S(2)"], ROW),
        ("dynamic-slice", "F32 1 100", ["F32 50 100 S(1)", "S32 S(2)"], ROW),
        ("gather", "F32 3 100 S(1)", ["F32 50 100", "S32 3 S(1)"], 3 * ROW),
        ("gather", "F32 3 100", ["F32 50 100 S(1)", "S32 3"], 3 * ROW + 3 * 4),
        ("dynamic-update-slice", "F32 50 100 S(1)", ["F32 50 100 S(1)", "F32 1 100"], ROW),
        ("dynamic-update-slice", "F32 50 100", ["F32 50 100", "F32 1 100 S(1)"], ROW),
        ("scatter", "F32 50 100 S(1)", ["F32 50 100 S(1)", "S32 3", "F32 3 100"], 3 * 4 + 3 * ROW),
    ],
)
def test_what_stays_on_the_chip_is_no_traffic(opcode, result, operands, moved):
    assert _moved_by(opcode, result, *operands) == moved


def test_a_fusion_reads_and_writes_main_memory_alone():
    def inside(computation, x, y, update, index):
        computation.add("add", "F32 50 100", x, y)
        updated = computation.add("dynamic-update-slice", "F32 50 100 S(1)", x, update, index)
        return computation.add("bitcast", "F32 5000 S(1)", updated)

    assert _moved(inside, "F32 50 100 S(1)", "F32 50 100", "F32 1 100 S(1)", "S32 S(2)") == ARRAY


@pytest.mark.parametrize(("target", "source", "copies"), [("", "", 2), (" S(1)", "", 1), ("", " S(1)", 1)])
def test_a_copy_that_is_started_reads_and_writes_once(target, source, copies):
    """Its result is the target, the source, and a context."""
    result = f"F32 50 100{target}, F32 50 100{source}, U32 S(2)"
    assert _moved_by("copy-start", result, f"F32 50 100{source}") == copies * ARRAY


def test_the_memory_that_a_library_works_in_is_no_result():
    call = {"custom_call_target": "__cublas$lt$matmul"}
    operands = ["BF16 64 32", "BF16 32 16"]
    product = 2 * (64 * 32 + 32 * 16 + 64 * 16)
    assert _moved_by("custom-call", "BF16 64 16, S8 33554432", *operands, **call) == product
    assert _moved_by("custom-call", "BF16 64 16, BF16 64 16, S8 4096", *operands, **call) == product + 2 * 64 * 16
    assert _moved_by("custom-call", "BF16 64 16", *operands, **call) == product

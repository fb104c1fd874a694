"""Floors of programs written by hand."""

import dataclasses

import pytest

from compilers.chips import roofline
from compilers.chips.registry import CHIPS
from compilers.hlo import launches
from tests.compilers.hlo import programs
from tests.compilers.hlo.programs import Computation, module

CHIP = dataclasses.replace(
    CHIPS["h200"], peaks={"BF16": 1e12, "F32": 1e11}, bandwidth=1e9, least_launch_s=1e-6, memory_bytes=2**20
)


@pytest.fixture
def program():
    return programs.loop_and_library()


def test_the_floor_is_the_longest_of_products_bytes_and_launch(program):
    found = launches.launches(program)
    bound_by_bytes = roofline.floor(found, CHIP)
    assert bound_by_bytes["launches"] == 12 and bound_by_bytes["instructions"] == 4
    assert bound_by_bytes["floor_s"] == pytest.approx(launches.count(found)["bytes_accessed"] / 1e9)
    fast_memory = dataclasses.replace(CHIP, bandwidth=1e15)
    # Products in bfloat16 and, of the library, in float32; the others take the least time.
    expected = 5 * max(65536 / 1e12, 1e-6) + 5e-6 + 1e-6 + max(32768 / 1e11, 1e-6)
    assert roofline.floor(found, fast_memory)["floor_s"] == pytest.approx(expected)
    slow = dataclasses.replace(fast_memory, peaks={"BF16": 1e9, "F32": 1e6})
    found_slow = roofline.floor(found, slow)
    assert found_slow["floor_s"] == pytest.approx(5 * 65536 / 1e9 + 6e-6 + 32768 / 1e6)
    assert found_slow["matmul_flops_by_dtype"] == {"BF16": 5 * 65536, "F32": 32768}
    assert found_slow["kinds"][0]["kind"] == "custom-call __cublas$gemm"


@pytest.mark.parametrize(("precision", "name", "seconds"), [(0, "F32", 2e-3), (2, "F32 HIGHEST", 4e-3)])
def test_full_precision_is_a_peak_of_its_own(precision, name, seconds):
    """Of an instruction and of a call of a library."""
    program = module()
    entry = Computation(program)
    x = entry.add("parameter", "F32 100 100")
    product = entry.dot("F32 100 100", x, x)
    product.precision_config.operand_precision.extend([0, precision])
    gemm = {"dot_dimension_numbers": {"lhs_contracting_dimensions": ["1"]}}
    gemm["precision_config"] = {"operand_precision": ["DEFAULT", ["DEFAULT", "HIGH", "HIGHEST"][precision]]}
    call = {"config": {"gemm_backend_config": gemm}, "custom_call_target": "__cublas$gemm"}
    entry.add("custom-call", "F32 100 100, S8 1000", product, x, **call)
    chip = dataclasses.replace(CHIP, peaks={"F32": 2e9, "F32 HIGHEST": 1e9})
    found = roofline.floor(launches.launches(program), chip)
    assert found["matmul_flops_by_dtype"] == {name: 4e6} and found["without_peak"] == []
    assert found["floor_s"] == pytest.approx(seconds)


def test_products_without_a_peak_count_by_their_bytes_and_are_named():
    program = module()
    entry = Computation(program)
    entry.dot("F64 100 100", entry.add("parameter", "F64 100 100"), entry.add("parameter", "F64 100 100"))
    found = roofline.floor(launches.launches(program), CHIP)
    assert found["without_peak"] == ["F64"] and found["floor_s"] == pytest.approx(3 * 8e4 / 1e9)


@pytest.mark.parametrize(("size", "seconds"), [(8, 1e-6), (8000, 2 * 8000 * 4 / 1e9)])
def test_a_copy_that_is_started_runs_beside_others(size, seconds):
    """The copy of 8,000 numbers takes 64 us; the negation, whose data are on the chip, at least 1 us."""
    program = module()
    entry = Computation(program)
    copied = entry.add("copy-start", f"F32 {size}, F32 {size}, U32 S(2)", entry.add("parameter", f"F32 {size}"))
    entry.add("negate", "F32 8 S(1)", entry.add("parameter", "F32 8 S(1)"))
    entry.add("copy-done", f"F32 {size}", copied)
    found = roofline.floor(launches.launches(program), CHIP)
    assert found["launches"] == 2 and found["floor_s"] == pytest.approx(seconds)

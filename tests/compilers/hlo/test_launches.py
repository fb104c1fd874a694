"""Launches, operations, bytes and floors of programs written by hand."""

import dataclasses

import numpy as np
import pytest

from compilers.chips import roofline
from compilers.chips.registry import CHIPS
from compilers.hlo import launches
from tests.compilers.hlo.programs import Computation, module

CHIP = dataclasses.replace(
    CHIPS["h200"], peaks={"BF16": 1e12, "F32": 1e11}, bandwidth=1e9, least_launch_s=1e-6, memory_bytes=2**20
)


@pytest.fixture
def program():
    """A loop of 5 iterations around a product and a fusion, and after it a sort, and a product by a library."""
    program = module()
    fused = Computation(program)
    fused.add("exponential", "F32 64 16", fused.add("parameter", "F32 64 16"))
    body = Computation(program)
    x, w = body.add("parameter", "BF16 64 32"), body.add("parameter", "BF16 32 16")
    product = body.dot("F32 64 16", x, w)
    body.add("fusion", "F32 64 16", product, calls=[fused], fusion_kind="kLoop")
    condition = Computation(program)
    condition.add("constant", "PRED")
    entry = Computation(program)
    start = entry.add("parameter", "F32 64 16")
    loop = entry.add("while", "F32 64 16", start, calls=[body, condition], config={"known_trip_count": {"n": "5"}})
    entry.add("sort", "F32 64 16", loop, dimensions=[1])
    gemm = {"gemm_backend_config": {"dot_dimension_numbers": {"lhs_contracting_dimensions": ["0"]}}}
    entry.add("custom-call", "F32 16 16", loop, loop, config=gemm, custom_call_target="__cublas$gemm")
    return program


def test_a_loop_launches_as_often_as_it_iterates(program):
    found = launches.launches(program)
    assert [(launch.kind, launch.times) for launch in found.all] == [
        ("dot", 5),
        ("fusion kLoop", 5),
        ("sort", 1),
        ("custom-call __cublas$gemm", 1),
    ]
    assert found.unknown_loops == 0


def test_loops_multiply_in_loops():
    program = module()
    inner, condition, outer = Computation(program), Computation(program), Computation(program)
    inner.dot("BF16 8 8", inner.add("parameter", "BF16 8 8"), inner.add("parameter", "BF16 8 8"))
    condition.add("constant", "PRED")

    def loop(computation, body, iterations):
        calls, config = [body, condition], {"known_trip_count": {"n": str(iterations)}}
        return computation.add(
            "while", "BF16 8 8", computation.add("parameter", "BF16 8 8"), calls=calls, config=config
        )

    outer.add("negate", "BF16 8 8", loop(outer, inner, 3))
    loop(Computation(program), outer, 5)
    found = launches.launches(program)
    assert [(launch.kind, launch.times) for launch in found.all] == [("dot", 15), ("negate", 5)]
    assert launches.count(found)["matmul_flops"] == 15 * 2 * 8**3
    assert roofline.floor(found, CHIP)["launches"] == 20


def test_sums(program):
    counted = launches.count(launches.launches(program))
    elements = 64 * 16
    assert counted["matmul_flops"] == 5 * 2 * elements * 32 + 2 * 16 * 16 * 64
    assert counted["transcendentals"] == 5 * elements
    assert counted["elementwise_operations"] == elements * 4
    product = 2 * (64 * 32 + 32 * 16) + 4 * elements
    assert counted["bytes_accessed"] == 5 * (product + 2 * 4 * elements) + 2 * 4 * elements + 2 * 4 * elements + 1024


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


def test_of_branches_the_larger_one_counts():
    program = module()
    small, large = Computation(program), Computation(program)
    small.add("negate", "F32 8", small.add("parameter", "F32 8"))
    large.add("negate", "F32 800", large.add("parameter", "F32 800"))
    entry = Computation(program)
    entry.add("conditional", "F32 8", entry.add("parameter", "PRED"), calls=[small, large])
    found = launches.launches(program)
    assert [launch.kind for launch in found.all] == ["conditional", "negate"]
    assert launches.count(found)["elementwise_operations"] == 800


def test_work_that_is_started_counts_once():
    program = module()
    wrapped = Computation(program)
    wrapped.dot("BF16 8 8", wrapped.add("parameter", "BF16 8 8"), wrapped.add("parameter", "BF16 8 8"))
    entry = Computation(program)
    x = entry.add("parameter", "BF16 8 8")
    entry.add("async-done", "BF16 8 8", entry.add("async-start", "BF16 8 8", x, calls=[wrapped]))
    found = launches.launches(program)
    assert [(launch.kind, launch.in_background) for launch in found.all] == [("dot", True)]
    assert launches.count(found)["matmul_flops"] == 2 * 8**3


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


@pytest.mark.parametrize("base_dilation, stride", [(1, 1), (2, 1), (1, 2), (3, 2), (4, 6), (2, 4)])
def test_a_convolution_multiplies_only_what_is_there(base_dilation, stride):
    inputs, taps, padding = 7, 3, 2
    dilated = (inputs - 1) * base_dilation + 1
    outputs = (dilated + 2 * padding - taps) // stride + 1
    program = module()
    entry = Computation(program)
    left, right = entry.add("parameter", f"BF16 4 {inputs} 8"), entry.add("parameter", f"BF16 {taps} 8 16")
    convolution = entry.add("convolution", f"BF16 4 {outputs} 16", left, right, batch_group_count=1)
    numbers = convolution.convolution_dimension_numbers
    numbers.input_batch_dimension = 0
    numbers.input_spatial_dimensions.append(1)
    numbers.output_spatial_dimensions.append(1)
    numbers.kernel_input_feature_dimension, numbers.kernel_output_feature_dimension = 1, 2
    convolution.window.dimensions.add(
        size=taps, stride=stride, padding_low=padding, base_dilation=base_dilation, window_dilation=1
    )
    signal = np.zeros(dilated + 2 * padding)
    signal[padding : padding + dilated : base_dilation] = 1.0
    met = sum(signal[first * stride : first * stride + taps].sum() for first in range(outputs))
    counted = launches.count(launches.launches(program))
    assert counted["matmul_flops"] == 2 * 4 * 8 * 16 * met

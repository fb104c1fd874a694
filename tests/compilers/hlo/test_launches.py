"""Launches, operations and bytes of programs written by hand."""

import numpy as np
import pytest

from compilers.hlo import launches
from tests.compilers.hlo import programs
from tests.compilers.hlo.programs import Computation, module


@pytest.fixture
def program():
    return programs.loop_and_library()


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


def test_sums(program):
    counted = launches.count(launches.launches(program))
    elements = 64 * 16
    assert counted["matmul_flops"] == 5 * 2 * elements * 32 + 2 * 16 * 16 * 64
    assert counted["transcendentals"] == 5 * elements
    assert counted["elementwise_operations"] == elements * 4
    product = 2 * (64 * 32 + 32 * 16) + 4 * elements
    assert counted["bytes_accessed"] == 5 * (product + 2 * 4 * elements) + 2 * 4 * elements + 2 * 4 * elements + 1024


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

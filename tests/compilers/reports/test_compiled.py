"""What is said of programs that were compiled for chips."""

import pytest

from compilers.reports import compiled

MIB = 2**20
LARGEST = [
    {"bytes": 8 * MIB, "padding_bytes": 6 * MIB, "number": 2, "opcode": "copy", "shape": "[4, 8]", "name": "Pad"},
    {"bytes": MIB, "padding_bytes": 0, "number": 1, "opcode": "dot", "shape": "[512, 512]", "name": "MatMul"},
]


@pytest.fixture
def point():
    sizes = {"temporary": 4000, "argument": 2000, "output": 1500, "aliased": 1000, "total": 6500}
    return {
        "status": "done",
        "length": 4096,
        "layers": 2,
        "reversible": True,
        "lower_s": 3.0,
        "compile_s": 20.0,
        "kept_buckets_mib": 1.0,
        **{f"{kind}_bytes": size * MIB for kind, size in sizes.items()},
        "memory_bytes": 16384 * MIB,
        "program_bytes": 1_200_000,
        "fits": True,
        "largest": LARGEST,
        "launches": 12_345,
        "matmul_flops": 3e12,
        "bytes_accessed": 2e9,
        "floor_s": 0.0123,
        "waited_s": 0.0,
        "versions": {"tensorflow": "2.21.0", "libtpu": "0.0.52"},
        "without_peak": [],
        "unknown_loops": 0,
        "kinds": [{"kind": "fusion kLoop", "launches": 12_000, "bytes": 1e9, "matmul_flops": 0, "floor_s": 0.01}],
    }


def test_a_step_that_fits(point):
    assert compiled.outcome(point) == "fits: 6,500 MiB of 16,384; at least 12.3 ms"
    text = compiled.report([point], "v5e")
    row = "4,096 2 reversible 3 20 1.2 4,000.0 2,000.0 1,500.0 1,000.0 6,500.0 12,345 3.00 2.0 12.3"
    assert row in " ".join(text.split())
    assert "10.00 ms at least in 12,000 launches of fusion kLoop: 0.00 TFLOP, 1.0 GB" in text
    assert "8.0 MiB in 2 buffers [4, 8] made by copy Pad; 6.0 MiB of it padding" in text
    assert "[512, 512] made by dot MatMul\n" in text + "\n"
    assert "TPU v5e, 16,384 MiB; by tensorflow 2.21.0, libtpu 0.0.52; launches are instructions" in text
    assert "197 TFLOP/s BF16" in text and "have no peak" not in text and "loops counted as one" not in text


def test_a_step_that_is_too_large_for_the_chip(point):
    point |= {"fits": False, "memory_bytes": 6000 * MIB, "unknown_loops": 3, "estimated_cycles": 4_000_000}
    point |= {"without_peak": ["F64", "S8"]}
    assert compiled.outcome(point) == "does not fit: 6,500 MiB of 6,000; at least 12.3 ms"
    text = compiled.report([point], "h200")
    assert "NVIDIA H200, 142,336 MiB without 2,048 assumed to be reserved" in text
    assert "products of F64, S8 have no peak and count by their bytes alone" in text
    assert "3 loops counted as one iteration" in text and "4.00 million cycles" in text


@pytest.mark.parametrize(("kind", "said"), [("in_all", "in all"), ("temporary", "temporary memory")])
def test_a_step_that_the_compiler_refuses(point, kind, said):
    needed = {"needed_bytes": 18944 * MIB, "available_bytes": 16128 * MIB, "needed_kind": kind}
    point |= {"fits": False, "refusal": "RESOURCE_EXHAUSTED: Ran out of memory", **needed}
    outcome = f"does not fit: 18,944 MiB {said} of 16,128 by the compiler, which refused"
    assert compiled.outcome(point) == outcome
    text = compiled.report([point], "v5e")
    assert outcome in text and "RESOURCE_EXHAUSTED: Ran out of memory" in text and "alive at the peak" in text


def test_waiting_is_said(point):
    point["waited_s"] = 75.0
    assert compiled.outcome(point).endswith("at least 12.3 ms; waited 75 s for another process that compiled")


def test_a_refusal_of_which_nothing_else_is_known():
    identity = {"status": "done", "length": 4096, "layers": 2, "reversible": False, "lower_s": 3.0, "compile_s": 20.0}
    point = {**identity, "memory_bytes": 2**34, "program_bytes": 1000, "fits": False, "refusal": "Ran out of memory"}
    assert compiled.outcome(point) == "does not fit 16,384 MiB; refused by the compiler"
    assert "length 4,096, 2 layers, plain: does not fit" in compiled.report([point], "v5e")


def test_growth_over_depth(point):
    deeper = {**point, "layers": 4, "temporary_bytes": 5000 * MIB, "kept_buckets_mib": 2.0}
    said = "4 layers need 1.25 times the temporary memory of 2: 500.00 MiB a layer, of which saved buckets are 0.50"
    assert said in compiled.report([point, deeper], "h200")

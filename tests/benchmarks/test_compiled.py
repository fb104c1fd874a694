"""The benchmark of the compiled step, run as a command."""

import json
import subprocess
import sys

import pytest

from tests.compilers import fake_compiler
from tests.compilers.fake_compiler import FACTS
from tests.trainer import command_line

TINY = ["--lengths=64", "--depths=1", "--width=16", "--heads=2", "--chunk_length=16", "--num_hashes=1", "--repeat=1"]


def _run(tmp_path, *arguments):
    output = tmp_path / "compiled.jsonl"
    command = [sys.executable, "-m", "benchmarks.compiled", *TINY, f"--output={output}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False), output


def test_a_tiny_point(tmp_path):
    result, output = _run(tmp_path, "--reversible=false", "--run")
    assert result.returncode == 0, result.stderr
    _, point = map(json.loads, output.read_text().splitlines())
    assert point["status"] == "done", point
    gradients = 4 * point["parameters"]
    assert point["output_bytes"] >= gradients and point["argument_bytes"] >= gradients
    assert point["temporary_bytes"] > 0 and point["step_s"] > 0
    feed_forward = 2 * 64 * 16 * 64 * 2
    assert point["matmul_flops"] > 4 * feed_forward
    assert point["unknown_loops"] == 0
    assert "alive at the peak" in result.stdout


@pytest.mark.slow
def test_memory_over_depth(tmp_path):
    result, output = _run(tmp_path, "--lengths=1024", "--depths=2,4", "--width=32")
    assert result.returncode == 0, result.stderr
    needs = {
        (p["layers"], p["reversible"]): p["temporary_bytes"] - 2**20 * p["kept_buckets_mib"]
        for p in map(json.loads, output.read_text().splitlines()[1:])
    }
    assert needs[4, True] <= 1.15 * needs[2, True]
    assert needs[4, False] >= 1.5 * needs[2, False]
    assert "length 1,024, plain: 4 layers need" in result.stdout


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--lengths=1k", "--lengths must be positive integers. Received: ['1k']"),
        ("--lengths=", "--lengths must be positive integers. Received: []"),
        ("--depths=0", "--depths must be positive integers. Received: ['0']"),
        ("--reversible=maybe", "--reversible must be of ['true', 'false']"),
        ("--width=15", "--width must be a multiple of --heads"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(tmp_path, argument, message):
    result, output = _run(tmp_path, argument)
    assert result.returncode != 0 and message in result.stderr and not output.exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([*TINY, "--config=configs/tiny.py", "--width=32"], "Received: --depths, --lengths"),
        (["--target=h200", "--run"], "--run must be false for a chip that need not be here. Received: --target=h200"),
        (["--target=h200", "--python=/nowhere/python"], "/nowhere/python"),
        (["--attention=lsh,lsch"], "--attention must name kinds among"),
        (["--attention=lsh,"], "Received: ['']"),
        (["--config=configs/tiny.py", "--config.train.batch_size=0"], "`config.train.batch_size` must be at least 1"),
    ],
)
def test_other_flags_are_refused_before_anything_starts(tmp_path, arguments, message):
    output = tmp_path / "compiled.jsonl"
    said = command_line.run_benchmark("compiled", *arguments, f"--output={output}")
    assert message in str(said) and not output.exists()


def test_an_unknown_target_is_refused(capfd):
    assert command_line.run_benchmark("compiled", "--target=p100") == 1
    assert "--target" in capfd.readouterr().err


def test_the_versions_that_compile_are_those_of_all_results_of_a_file(tmp_path):
    def run(version):
        python = fake_compiler.write(tmp_path, {**FACTS, "versions": {"jax": version}, "refusal": "no"})
        # Whether the point is done in a second does not matter.
        arguments = ["--target=v5e", "--reversible=false", f"--python={python}", "--timeout=1", f"--output={output}"]
        return command_line.run_benchmark("compiled", *TINY, *arguments)

    output = tmp_path / "compiled.jsonl"
    run("0.10.2")
    header, _ = map(json.loads, output.read_text().splitlines())
    assert header["machine"]["compiler"] == {"jax": "0.10.2"}
    assert "compiler.jax must be as in" in str(run("0.10.3"))


@pytest.mark.slow
def test_the_step_of_a_config(tmp_path):
    output = tmp_path / "compiled.jsonl"
    command = [sys.executable, "-m", "benchmarks.compiled", "--config=configs/tiny.py", f"--output={output}"]
    command += ["--config.train.batch_size=2", "--config.train.sequence_length=64"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stderr
    header, point = map(json.loads, output.read_text().splitlines())
    assert header["arguments"]["target"] == "cpu" and header["arguments"]["config"]["train"]["batch_size"] == 2
    assert (point["length"], point["layers"], point["reversible"], point["batch"]) == (64, 2, True, 2)
    weights_and_slots = 3 * 4 * point["parameters"]
    assert point["argument_bytes"] >= weights_and_slots > point["output_bytes"]  # They are updated in place.

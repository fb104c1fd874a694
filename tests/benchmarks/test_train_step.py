"""The train step benchmark, run as a command."""

import json
import subprocess
import sys

import pytest

from tests.trainer import command_line

TINY = ["--length=300", "--layers=2", "--width=16", "--heads=2", "--chunk_length=16", "--num_hashes=1", "--repeat=1"]


def _run(*arguments):
    command = [sys.executable, "-m", "benchmarks.train_step", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def test_the_last_line_is_what_was_measured(capfd):
    """Runs in this process: only the peak of memory needs a process of its own."""
    assert (
        command_line.run_benchmark(
            "train_step", *TINY, "--attention=local,lsh", "--local_round", "--noreversible", "--check"
        )
        == 0
    )
    measured = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert measured["tokens_per_s"] == pytest.approx(300 / measured["step_s"])
    assert measured["peak_mib"] >= measured["base_mib"] > 0
    embedding, head, positions, norm = 256 * 16, 256, (10 + 32) * 8, 2 * 16
    local, lsh, feed_forward = 4 * 16 * 16, 3 * 16 * 16, 16 * 64 + 64 + 64 * 16 + 16
    layers = local + lsh + 2 * feed_forward + 4 * norm
    assert measured["parameters"] == embedding + head + positions + layers + norm
    assert measured["attention"] == ["local", "lsh"] and measured["local_round"] is True
    assert measured["reversible"] is False
    assert 0 < measured["check_output_error"] < 1e-5 and 0 < measured["check_gradient_error"] < 1e-5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--width=15"], "--width must be a multiple of --heads"),
        (["--attention=lhs"], "--attention must name kinds"),
        (["--attention=local", "--check"], "--check needs a layer of LSH attention"),
    ],
)
@pytest.mark.slow
def test_bad_arguments_are_refused(arguments, message):
    result = _run(*TINY, *arguments)
    assert result.returncode != 0 and message in result.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_depth():
    needs = []
    for layers in (2, 12):
        result = _run("--length=16384", f"--layers={layers}", "--repeat=1")
        assert result.returncode == 0, result.stderr
        measured = json.loads(result.stdout.splitlines()[-1])
        gradients = 4 * measured["parameters"] / 2**20
        needs.append(measured["peak_mib"] - measured["base_mib"] - gradients - measured["kept_buckets_mib"])
    assert needs[1] <= 1.25 * needs[0]

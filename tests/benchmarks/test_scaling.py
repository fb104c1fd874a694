"""The scaling benchmark, run as a command."""

import json
import subprocess
import sys

import pytest

TINY = [
    "--lengths=64",
    "--subjects=ours:chunk",
    "--layers=1",
    "--width=32",
    "--heads=2",
    "--chunk_length=16",
    "--num_hashes=1",
]


def _run(tmp_path, *arguments):
    output = tmp_path / "scaling.jsonl"
    command = [sys.executable, "-m", "benchmarks.scaling", *TINY, "--steps=1", f"--output={output}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False), output


def test_a_tiny_point(tmp_path):
    result, output = _run(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "point 1 of 1: subject ours:chunk, length 64, layers 1, round 0: " in result.stdout
    header, measurement = map(json.loads, output.read_text().splitlines())
    assert measurement["status"] == "done", measurement
    assert measurement["window"] == "chunk" and measurement["width"] == 32 and measurement["tokens_per_s"] > 0
    assert header["arguments"]["width"] == 32 and header["machine"]["cores"] >= 1
    assert json.loads(result.stdout.splitlines()[-1])["points"][0]["rounds"] == 1
    again, _ = _run(tmp_path)
    assert again.returncode == 0 and "point 1" not in again.stdout
    refused, _ = _run(tmp_path, "--num_hashes=3")
    assert refused.returncode != 0 and "num_hashes must be as in" in refused.stderr


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--lengths=1k", "--lengths must be positive integers. Received: ['1k']"),
        ("--peer=ours", "--peer must be of"),
        ("--precision=half", "--precision must be of"),
        ("--width=33", "--width must be a multiple of --heads"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(tmp_path, argument, message):
    result, output = _run(tmp_path, argument)
    assert result.returncode != 0 and message in result.stderr and not output.exists()


def test_the_command_stays_small():
    large = {"tensorflow", "keras", "torch", "matplotlib", "numpy"}
    code = f"import sys, benchmarks.scaling; assert not {large} & {{*sys.modules}}, {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""Bits per byte after equally many steps: the command at its smallest, and the table."""

import importlib.util
import json
import subprocess
import sys

import pytest

from benchmarks.reports import quality

TINY = [
    "--length=128",
    "--layers=1",
    "--width=16",
    "--heads=2",
    "--chunk_length=16",
    "--num_hashes=1",
    "--steps=12",
    "--learning_rate=0.01",
    "--validation_windows=2",
]


def _ended(output, *arguments):
    command = [sys.executable, "-m", "benchmarks.quality", *TINY, f"--output={output}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


def _run(folder, *arguments):
    output = folder / "quality.jsonl"
    result = _ended(output, *arguments)
    assert result.returncode == 0, result.stderr
    _, *runs = map(json.loads, output.read_text().splitlines())
    return runs, result.stdout


def _check(run):
    assert run["status"] == "done", run["reason"]
    assert 7 < run["start_bits"] < 12
    assert 3 < run["train_bits"] < run["start_bits"]
    assert 3 < run["validation_bits"] < run["start_bits"]


def test_our_windows(tmp_path):
    runs, said = _run(tmp_path, "--subjects=ours,ours:chunk")
    assert [run["subject"] for run in runs] == ["ours", "ours:chunk"]
    for run in runs:
        _check(run)
        assert [run["subject"], f"{run['validation_bits']:.4f}"] in [line.split()[:2] for line in said.splitlines()]
    assert runs[0]["validation_bits"] != runs[1]["validation_bits"]
    again, said = _run(tmp_path, "--subjects=ours:chunk,ours")
    assert again == runs and "seed 0" not in said
    refused = _ended(tmp_path / "quality.jsonl", "--steps=13")
    assert refused.returncode != 0 and "steps must be as in" in refused.stderr


def test_other_files_and_bad_arguments_are_refused(tmp_path):
    output = tmp_path / "quality.jsonl"
    refused = _ended(output, "--width=15")
    assert refused.returncode != 0 and "--width must be a multiple of --heads" in refused.stderr and not output.exists()
    output.write_text("[]")
    refused = _ended(output)
    assert refused.returncode != 0 and "--output must be new" in refused.stderr and output.read_text() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")
def test_a_peer(tmp_path):
    (run,), _ = _run(tmp_path, "--subjects=huggingface")
    _check(run)


def test_table():
    done = {"status": "done", "train_bits": 3.0, "seconds": 900.0, "train_seconds": 90.0}
    runs = [
        {"subject": "ours", "validation_bits": 3.5, **done},
        {"subject": "lucidrains", "status": "failed", "reason": "no"},
        {"subject": "ours", "validation_bits": 3.25, "status": "done", "train_bits": 3.0, "seconds": 90.0},
    ]
    assert [line.split() for line in quality.report(runs).splitlines()] == [
        ["subject", "validation", "range", "training", "minutes"],
        ["ours", "3.3750", "0.2500", "3.0000", "1.5"],
        ["lucidrains", "failed"],
    ]

"""The duplication table: its numbers, and the command at its smallest."""

import json
import subprocess
import sys

import pytest

from benchmarks.measuring.duplication_flags import TRAINED
from benchmarks.reports import duplication


def _run(trained, seed, exact, four):
    accuracy = {"exact": [exact], "8": [0.9, 0.9], "4": four, "2": [0.5], "1": [0.25]}
    return {"trained": trained, "seed": seed, "status": "done", "accuracy": accuracy}


RUNS = [
    _run("exact", 0, 1.0, [1.0, 0.98]),
    _run("exact", 1, 1.0, [0.96, 0.98]),
    _run("lsh-1", 0, 0.5, [0.7, 0.9]),
    {"trained": "lsh-2", "seed": 0, "status": "failed", "reason": "no memory"},
]


def test_means_and_standard_errors():
    found = duplication.summarize(RUNS)
    assert found["exact", "exact"] == (1.0, 0.0)
    assert found["exact", "4"] == (pytest.approx(0.98), pytest.approx(0.01)), "over the means of two seeds"
    assert found["lsh-1", "4"] == (pytest.approx(0.8), pytest.approx(0.1)), "over two draws of one seed"
    assert ("lsh-2", "4") not in found


def test_the_table():
    lines = duplication.report(RUNS).splitlines()
    assert " ".join(lines[0].split()) == "trained with exact 8 round(s) 4 round(s) 2 round(s) 1 round(s)"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[0] in TRAINED}
    assert rows["exact"][:2] == ["100.00", "±0.00"] and rows["exact"][4:6] == ["98.00", "±1.00"]
    assert rows["lsh-2"] == ["-"] * 5


def test_the_plot():
    pytest.importorskip("matplotlib")
    (axes,) = duplication.draw(RUNS).axes
    assert [line.get_label() for line in axes.containers] == ["trained with exact", "trained with lsh-1"]


@pytest.mark.slow
def test_the_command(tmp_path):
    command = [sys.executable, "-m", "benchmarks.duplication", "--seeds=1", "--steps=3", "--length=32", "--draws=2"]
    command += [f"--output={tmp_path / 'results.jsonl'}", f"--workdirs={tmp_path}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr
    _, *runs = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert [run["trained"] for run in runs] == list(TRAINED)
    for run in runs:
        assert run["status"] == "done", run["reason"]
        assert {name: len(values) for name, values in run["accuracy"].items()} == {
            "exact": 1,
            **dict.fromkeys(("8", "4", "2", "1"), 2),
        }
    again = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=True)
    assert "4 of 4 points are of earlier runs" in again.stdout


def test_odd_lengths_are_refused(tmp_path):
    command = [sys.executable, "-m", "benchmarks.duplication", "--length=33", f"--output={tmp_path / 'results.jsonl'}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 1 and "--length must be even and at least 16. Received: 33" in ended.stderr

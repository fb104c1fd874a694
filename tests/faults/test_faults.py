"""Trials of `python -m tests.faults`: nothing is lost by a fault inside a write or by a full disk."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "random", "inside"), [("kill", 0, 1), ("flip", 1, 0), ("full_disk", 1, 0)])
def test_nothing_is_lost(tmp_path, fault, random, inside):
    path = tmp_path / "faults.json"
    options = [f"--faults={fault}", f"--random={random}", f"--inside={inside}", f"--output={path}"]
    done = subprocess.run([sys.executable, "-m", "tests.faults", *options], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = json.loads(path.read_text())
    assert [trial["same"] for trial in trials] == [True] * (random + 2 * inside)


def test_faults_that_there_are_not():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--faults=flood"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "`--faults` must be among kill, terminate" in done.stdout + done.stderr

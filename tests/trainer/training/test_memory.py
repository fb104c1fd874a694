"""The peak memory that the trainer reports."""

import pathlib
import subprocess
import sys

import numpy as np

from trainer.training import memory


def test_the_peak_grows_by_what_was_used():
    before = memory.peak_mib()
    block = np.ones([64, 1024, 1024], np.uint8)
    used = float(block.nbytes) / 2**20
    resident = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
    assert memory.peak_mib() >= max(before, resident - 1)
    assert memory.peak_mib() <= before + used + 32


def test_a_peak_that_is_forgotten():
    """Where the system lets a process reset it, as Linux does."""
    block = np.ones([128, 1024, 1024], np.uint8)
    peak = memory.peak_mib()
    assert memory.resident_mib() > block.nbytes / 2**20
    del block
    memory.forget_peak()
    assert memory.peak_mib() <= peak - 100
    assert abs(memory.peak_mib() - memory.resident_mib()) < 20


def test_what_the_starting_process_holds_is_not_counted():
    block = np.ones([256, 1024, 1024], np.uint8)
    code = "from trainer.training.memory import peak_mib; print(peak_mib())"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert 0 < float(printed) < block.nbytes / 2**20


def test_without_proc_the_system_is_asked(monkeypatch, tmp_path):
    exact = memory.peak_mib()
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    assert memory.peak_mib() >= 0.9 * exact

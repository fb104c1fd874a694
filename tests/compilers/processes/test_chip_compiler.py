"""The process that compiles for a chip: its compiler, which may be in use, missing, or refuse."""

import dataclasses
import json
import os
import sys

import pytest

from compilers.chips.registry import CHIPS
from compilers.processes import chip_compiler

ON_CHIP = "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem while allocating on stack. Used 200M of 128M vmem"


@pytest.mark.parametrize("said", [ON_CHIP, "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes on the host"])
def test_another_memory_than_the_main_memory_is_no_refusal(said):
    assert not chip_compiler.is_refusal(said)


def test_a_lock_of_another_user_is_refused_at_once(monkeypatch, tmp_path, capsys):
    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setitem(CHIPS, "v5e", dataclasses.replace(CHIPS["v5e"], lock=str(lock), packages=()))
    monkeypatch.setattr(os, "access", lambda *_: False)  # As for any user but root.
    monkeypatch.setattr(sys, "argv", ["chip_compiler", "v5e"])
    chip_compiler.main()
    refused = json.loads(capsys.readouterr().out)["refused"]
    assert refused.startswith("--target=v5e needs a lock file") and f"rm {lock}. Received" in refused


@pytest.fixture
def clock():
    """The seconds that went by, which sleeping adds to."""
    return [0.0]


def _loaded(clock, load):
    return chip_compiler.loaded(
        load, "/tmp/lock", sleep=lambda s: clock.__setitem__(0, clock[0] + s), clock=lambda: clock[0]
    )


def test_a_compiler_that_is_in_use_is_waited_for(clock):
    def load():
        if clock[0] < 100:
            raise RuntimeError("The TPU is already in use by process with pid 17")
        return "compiler"

    assert _loaded(clock, load) == ("compiler", 100.0)
    assert _loaded(clock, lambda: "compiler") == ("compiler", 0.0)


def test_waiting_for_a_compiler_ends(clock):
    def load():
        raise RuntimeError("ABORTED: Internal error when accessing libtpu multi-process lockfile")

    with pytest.raises(TimeoutError, match="/tmp/lock was locked for 15 minutes. .* remove the file: rm /tmp/lock"):
        _loaded(clock, load)
    assert 900 <= clock[0] < 920


def test_other_errors_of_a_compiler_are_raised_at_once(clock):
    with pytest.raises(ZeroDivisionError):
        _loaded(clock, lambda: 1 // 0)
    assert clock[0] == 0


def test_missing_packages():
    assert chip_compiler.missing(dataclasses.replace(CHIPS["h200"], packages=("json", "no_such_one"))) == [
        "no_such_one"
    ]

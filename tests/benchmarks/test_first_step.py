"""The benchmark of the first step of a small model."""

import json

import pytest

from tests.trainer import command_line

TINY = ["--length=3", "--batch=2", "--eager_length=5", "--steps=1"]


@pytest.mark.parametrize(
    "kinds",
    [["lsh"], *(pytest.param(kinds, marks=pytest.mark.slow) for kinds in (["multi_head"], ["full"], ["local", "lsh"]))],
)
def test_a_tiny_measurement(kinds, capfd):
    assert command_line.run_benchmark("first_step", f"--kinds={','.join(kinds)}", *TINY) == 0
    measured = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert list(measured) == kinds
    for seconds in measured.values():
        assert all(value >= 0.0 for value in seconds.values())
        assert seconds["first_step"] > seconds["step"]


def test_other_kinds_are_refused():
    said = command_line.run_benchmark("first_step", "--kinds=lsh,lhs", *TINY)
    assert said.startswith("Error: --kinds must be of ['multi_head', 'lsh', 'local', 'full']. Received: ['lsh', 'lhs']")

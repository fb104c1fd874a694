"""`benchmarks.decoding` on a tiny model."""

import json

import pytest

from tests.trainer import command_line


def test_only_ours(tmp_path, capfd):
    path = tmp_path / "decoding.json"
    sizes = ["--layers=1", "--width=8", "--heads=2", "--chunk_length=4"]
    points = ["--contexts=5,9", "--batches=1,2", "--tokens=3", "--rounds=2", "--peer_context=0"]
    assert command_line.run_benchmark("decoding", *sizes, *points, f"--output={path}") == 0
    result = json.loads(path.read_text())
    assert json.loads(capfd.readouterr().out.splitlines()[-1]) == result
    assert result["sizes"] == {"layers": 1, "width": 8, "heads": 2, "num_hashes": 2, "chunk_length": 4}
    asked = [(point["batch"], point["context"]) for point in result["points"]]
    assert asked == [(1, 5), (1, 9), (2, 5), (2, 9)]
    for point in result["points"]:
        assert point["tokens_per_s"] == pytest.approx(point["batch"] / point["step_s"])
        assert len(point["all_step_s"]) == 2
    speed = {where: point["tokens_per_s"] for where, point in zip(asked, result["points"], strict=True)}
    for batch in (1, 2):
        assert result["longest_over_shortest"][str(batch)] == pytest.approx(speed[batch, 9] / speed[batch, 5])


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--contexts=0", "--contexts must be positive integers"), ("--width=15", "--width must be a multiple of --heads")],
)
def test_bad_arguments_are_refused(argument, message):
    assert message in command_line.run_benchmark("decoding", argument)


def test_arguments_that_are_no_flags_are_refused(capfd):
    assert command_line.run_benchmark("decoding", "contexts=5") == 1
    assert "Unknown arguments: ['contexts=5']" in "".join(capfd.readouterr())

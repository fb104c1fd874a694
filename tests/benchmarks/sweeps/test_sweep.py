"""The loop over points: sequence, resuming, giving up."""

import json

import pytest

from benchmarks.sweeps import sweep
from benchmarks.sweeps.results import Results
from tests.benchmarks import fake_subject

MACHINE = {"cpu": "abacus", "versions": {"tensorflow": "2"}}
ARGUMENTS = {"width": 256, "lengths": ["1024"]}
SIZES = [(1024, 6), (4096, 6)]


def _results(tmp_path, arguments=ARGUMENTS, machine=MACHINE):
    return Results(tmp_path / "scaling.json", arguments, ["width"], machine)


def _run(points, results, measure=fake_subject.measured, **options):
    """Runs the points; returns those that were measured, and the lines."""
    seen, lines = [], []
    sweep.run(points, results, lambda p: seen.append(p) or measure(p), lambda p: p.length, say=lines.append, **options)
    return seen, lines


def test_subjects_alternate():
    a, b = fake_subject.subjects("ours", "huggingface")
    points = sweep.plan([a, b], SIZES, 2)
    assert [p.round for p in points] == [0] * 4 + [1] * 4
    assert [p.subject for p in points] == [a, b, a, b, b, a, b, a]
    assert [p.length for p in points[:4]] == [1024, 1024, 4096, 4096]


def test_sizes_on_both_axes_are_measured_once():
    assert len(sweep.plan(fake_subject.subjects("ours"), [(1024, 6), (1024, 6), (1024, 2)], 1)) == 2


def test_a_run_goes_on_with_what_is_missing(tmp_path):
    points = sweep.plan(fake_subject.subjects("ours", "huggingface"), SIZES, 2)

    def interrupted(point):
        if point == points[5]:
            raise KeyboardInterrupt
        return fake_subject.measured(point)

    with pytest.raises(KeyboardInterrupt):
        _run(points, _results(tmp_path), interrupted)
    written = json.loads((tmp_path / "scaling.json").read_text())
    assert len(written["measurements"]) == 5 and written["machine"] == MACHINE and written["arguments"] == ARGUMENTS
    seen, lines = _run(points, _results(tmp_path))
    assert seen == points[5:]
    assert lines[0].startswith("point 6 of 8: ours, length 1,024, depth 6, round 2: 909 tokens/s, 102 MiB above base;")
    assert lines[-1].endswith("0:00 left")
    assert _run(points, _results(tmp_path)) == ([], [])
    assert [p.name for p in tmp_path.iterdir()] == ["scaling.json"]


def test_the_time_left_is_that_of_the_points_left(tmp_path):
    points = sweep.plan(fake_subject.subjects("ours"), [(1024, 6), (2048, 6), (4096, 6)], 1)
    _, lines = _run(points, _results(tmp_path))
    assert [line.rpartition("; ")[2] for line in lines] == ["0:18 left", "0:06 left", "0:00 left"]


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_abandoned_points_are_recorded_and_not_tried_larger(tmp_path, status):
    subjects = fake_subject.subjects("ours", "torch_exact")
    points = sweep.plan(subjects, [(1024, 2), (1024, 6), (4096, 2), (4096, 6)], 2)

    def measure(point):
        if point.subject == subjects[1] and point.length == 4096:
            return {"status": status, "seconds": 9.0, "reason": "too much"}
        return fake_subject.measured(point)

    results = _results(tmp_path)
    seen, lines = _run(points, results, measure)
    assert len([p for p in seen if p.subject == subjects[1] and p.length == 4096]) == 1
    assert any(f"{status} (too much)" in line for line in lines)
    assert len(results.measurements) == len(points)
    skipped = [m for m in results.measurements if m["status"] == "skipped"]
    assert [m["layers"] for m in skipped] == [6, 2, 6]
    assert skipped[0]["reason"] == f"{status} at torch_exact, length 4,096, depth 2, round 1"
    assert _run(points, _results(tmp_path)) == ([], [])
    seen, _ = _run(points, _results(tmp_path), retry_failed=True)
    assert len(seen) == 4


def test_a_failure_does_not_stop_the_others(tmp_path):
    points = sweep.plan(fake_subject.subjects("ours", "huggingface"), SIZES, 1)

    def measure(point):
        if point.subject.peer:
            return {"status": "failed", "seconds": 1.0, "reason": "exit code 1: Trace\nno such weight"}
        return fake_subject.measured(point)

    seen, lines = _run(points, _results(tmp_path), measure)
    assert seen == points
    assert "failed (no such weight)" in lines[1]


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"arguments": {**ARGUMENTS, "width": 128}}, r"width must be as in .*Received: width=128, there 256"),
        ({"machine": {**MACHINE, "cpu": "slide rule"}}, r"cpu must be as in .*there 'abacus'"),
    ],
)
def test_ratios_of_different_runs_are_refused(tmp_path, changed, message):
    _results(tmp_path).write()
    _results(tmp_path, {**ARGUMENTS, "lengths": ["2048"]})
    with pytest.raises(ValueError, match=message):
        _results(tmp_path, **changed)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"arguments": 1}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "scaling.json").write_text(content)
    with pytest.raises(ValueError, match="--output must be new or of an earlier run. Received: .*scaling.json"):
        _results(tmp_path)

"""The loop over points and the file of its results: resuming, failures, time left."""

import json

import pytest

from benchmarks.measuring import points
from benchmarks.measuring.results import Results
from compilers.processes import machine

MACHINE = {"cpu": "abacus", "versions": {"tensorflow": "2"}}
ARGUMENTS = {"width": 256}
POINTS = [points.Point({"subject": "ours", "length": length}, ["no_module"], length) for length in (1024, 2048, 4096)]


def _results(folder, arguments=ARGUMENTS, machine=MACHINE):
    return Results(folder / "results.jsonl", arguments, machine, ["subject", "length"])


def _done(point):
    return {"status": "done", "seconds": 3.0, "speed": 2.0 * point.work}


def _run(results, measure=_done, **options):
    """Runs the points; returns those that were measured, and the lines."""
    seen, lines = [], []
    points.run(
        POINTS, results, lambda p: seen.append(p) or measure(p), lambda m: str(m["speed"]), say=lines.append, **options
    )
    return seen, lines


def test_a_run_goes_on_with_what_is_missing(tmp_path):
    def interrupted(point):
        if point == POINTS[1]:
            raise KeyboardInterrupt
        return _done(point)

    with pytest.raises(KeyboardInterrupt):
        _run(_results(tmp_path), interrupted)
    path = tmp_path / "results.jsonl"
    header, point = map(json.loads, path.read_text().splitlines())
    assert header == {"arguments": ARGUMENTS, "machine": MACHINE}
    assert point == {**_done(POINTS[0]), **POINTS[0].identity}
    with path.open("a") as file:
        file.write('{"subject": "ou')  # Killed while it wrote a line.
    seen, lines = _run(_results(tmp_path))
    assert seen == POINTS[1:]
    assert lines[1] == "point 2 of 3: subject ours, length 2048: 4096.0; 0:08 left"
    seen, lines = _run(_results(tmp_path))
    assert not seen and [line.partition(",")[0] for line in lines] == ["3 of 3 points are of earlier runs"]
    assert [json.loads(line)["length"] for line in path.read_text().splitlines()[1:]] == [1024, 2048, 4096]
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl"]


def test_the_time_left_is_that_of_the_points_left():
    _, lines = _run(Results(None, {}, {}, ["subject", "length"]))
    assert [line.rpartition("; ")[2] for line in lines] == ["0:18 left", "0:08 left", "0:00 left"]


def test_a_failure_does_not_stop_the_others(tmp_path):
    def measure(point):
        failed = {"status": "failed", "seconds": 0.0, "reason": "exit code 1: Trace\nno such weight"}
        return failed if point == POINTS[0] else _done(point)

    seen, lines = _run(_results(tmp_path), measure)
    assert seen == POINTS
    assert lines[0].endswith("length 1024: failed (no such weight); -:-- left")
    assert _run(_results(tmp_path), retry_failed=False)[0] == []
    results = _results(tmp_path)
    assert _run(results)[0] == POINTS[:1]
    assert [point["status"] for point in results.points] == ["done"] * 3
    assert _results(tmp_path).points == results.points


def test_results_of_other_sources_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "code", lambda: "new")
    for number, source in enumerate(("old", "new")):
        results = Results(tmp_path / f"{source}.jsonl", {}, {}, ["subject", "length"])
        results.add(POINTS[0].identity, {**_done(POINTS[0]), "code": source})
        results.add(POINTS[1].identity, {"status": "skipped", "seconds": 0.0, "reason": "no"})
        _, lines = _run(results, retry_failed=False)
        said = f"2 of 3 points are of earlier runs, measured with the sources ['{source}']"
        assert lines[0] == said + (". Warning: now they are 'new', for which choose another --output", "")[number]
        assert len(lines) == 2


def test_a_point_is_measured_in_a_process():
    found = points.measure(points.Point({}, ["no_module_of_this_name"]), timeout=60.0)
    assert found["status"] == "failed" and "No module named" in found["reason"]
    assert found["load_before"] >= 0 and "code" in found


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"arguments": {"width": 128}}, r"width must be as in .*Received: width=128, there 256"),
        ({"machine": {**MACHINE, "cpu": "slide rule"}}, r"cpu must be as in .*there 'abacus'"),
    ],
)
def test_ratios_of_different_runs_are_refused(tmp_path, changed, message):
    _results(tmp_path)
    with pytest.raises(ValueError, match=message):
        _results(tmp_path, **changed)


def test_of_a_config_the_fields_that_differ_are_named(tmp_path):
    def config(layers, rate):
        return {"config": {"seed": 1, "model": {"layers": layers, "width": 8}, "optimizer": {"rate": rate}}}

    _results(tmp_path, arguments=config(2, 0.1))
    message = (
        "^config.model.layers, config.optimizer.rate must be as in [^{]*"
        "Received: config.model.layers=4, there 2; config.optimizer.rate=0.2, there 0.1$"
    )
    with pytest.raises(ValueError, match=message):
        _results(tmp_path, arguments=config(4, 0.2))


@pytest.mark.parametrize("content", ["", "[]", "{}\n", '{"arguments": 1}\n', "text\n"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "results.jsonl").write_text(content)
    with pytest.raises(ValueError, match="--output must be new or of an earlier run. Received: .*results.jsonl"):
        _results(tmp_path)
    assert (tmp_path / "results.jsonl").read_text() == content

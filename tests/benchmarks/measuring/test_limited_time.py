"""Points are measured while time lasts, and later ones are expected from earlier ones."""

import pytest

from benchmarks.measuring import limited_time, point_process
from benchmarks.measuring.limited_time import Point


@pytest.fixture
def measured(monkeypatch):
    """Processes that take 10 s, 6 s of them for each 1,000 tokens; returns the clock and the points that ran."""
    ran, now = [], [100.0]

    def run(command, timeout, memory_limit_mib):
        *_, length = command
        run_s = 6.0 * int(length) / 1000
        ran.append((int(length), timeout))
        now[0] += 4.0 + run_s
        return {"status": point_process.DONE, "seconds": 4.0 + run_s, "run_s": run_s}

    monkeypatch.setattr(point_process, "run", run)
    return ran, lambda: now[0]


def _points(power=1):
    return [Point("step", length, ["module", str(length)], power, 5) for length in (1000, 2000, 4000)]


def test_all_points_that_fit(measured):
    ran, clock = measured
    results = list(limited_time.run(_points(), 60.0, clock))
    assert [(r["subject"], r["length"], r["operations"], r["status"]) for r in results] == [
        ("step", length, 5, "done") for length in (1000, 2000, 4000)
    ]
    # Each may take all the time that is left.
    assert ran == [(1000, 60.0), (2000, 50.0), (4000, 34.0)]


@pytest.mark.parametrize(("power", "left_out"), [(1, [4000]), (2, [2000, 4000])])
def test_what_would_take_too_long_is_left_out(measured, power, left_out):
    """Of 34 s, 24 are left after the first point: enough for 4 + 12 s, but not for 4 + 24."""
    ran, clock = measured
    results = list(limited_time.run(_points(power), 34.0, clock))
    assert [r["length"] for r in results if r["status"] == limited_time.NO_TIME] == left_out
    assert [length for length, _ in ran] == [length for length in (1000, 2000, 4000) if length not in left_out]
    assert results[-1]["reason"] == {1: "8 s left, 28 s or more needed", 2: "24 s left, 100 s or more needed"}[power]


def test_another_subject_is_tried_while_there_is_time(measured):
    _, clock = measured
    points = [*_points(2), Point("other", 1000, ["module", "1000"])]
    assert [r["status"] for r in limited_time.run(points, 34.0, clock)] == ["done", "no_time", "no_time", "done"]
    assert [r["status"] for r in limited_time.run(points, 0.0, clock)] == ["no_time"] * 4


def test_a_point_that_failed_expects_nothing_of_the_next(monkeypatch):
    failed = {"status": point_process.FAILED, "seconds": 1.0, "reason": "no such module"}
    monkeypatch.setattr(point_process, "run", lambda *_: failed)
    assert [r["status"] for r in limited_time.run(_points(), 60.0)] == ["failed"] * 3

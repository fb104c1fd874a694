"""Points are measured while time lasts."""

import pytest

from benchmarks.measuring import limited_time
from benchmarks.measuring.limited_time import Point
from compilers.processes import limited_process

POINTS = [Point("step", length, ["module", str(length)], 5) for length in (1000, 2000, 4000)]


@pytest.fixture
def measured(monkeypatch):
    """Processes that take 10 s for each 1,000 tokens; returns the clock and the points that ran."""
    ran, now = [], [100.0]

    def run(command, timeout):
        *_, length = command
        ran.append((int(length), timeout))
        seconds = min(int(length) / 100, timeout)
        now[0] += seconds
        if seconds == timeout:
            return {"status": limited_process.TIMEOUT, "seconds": seconds, "reason": f"not done after {timeout:g} s"}
        return {"status": limited_process.DONE, "seconds": seconds}

    monkeypatch.setattr(limited_process, "run", run)
    return ran, lambda: now[0]


def test_all_points_that_fit(measured):
    ran, clock = measured
    results = list(limited_time.run(POINTS, 80.0, clock))
    assert [(r["subject"], r["length"], r["operations"], r["status"]) for r in results] == [
        ("step", length, 5, "done") for length in (1000, 2000, 4000)
    ]
    # Each may take all the time that is left.
    assert ran == [(1000, 80.0), (2000, 70.0), (4000, 50.0)]


def test_at_the_limit_a_point_is_ended_and_the_others_are_left_out(measured):
    ran, clock = measured
    results = list(limited_time.run(POINTS, 20.0, clock))
    assert [r["status"] for r in results] == ["done", "no_time", "no_time"]
    assert [r.get("reason") for r in results] == [None, "not done after 10 s", "the 20 s are over"]
    assert ran == [(1000, 20.0), (2000, 10.0)]


def test_a_point_that_failed_is_not_the_end(monkeypatch):
    failed = {"status": limited_process.FAILED, "seconds": 1.0, "reason": "no such module"}
    monkeypatch.setattr(limited_process, "run", lambda *_: failed)
    assert [r["status"] for r in limited_time.run(POINTS, 60.0)] == ["failed"] * 3

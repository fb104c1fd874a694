"""The progress line."""

import pytest

from trainer.training import progress


def test_speed_and_time_left(monkeypatch):
    times = iter([0.0, 9.0, 20.0, 21.0, 100.0, 103.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(times))
    measured = progress.Progress(steps=100)
    measured.begin()
    measured.end(1000)
    line, _ = measured.line(1, {"loss": 2.0, "bits_per_byte": 3.0})
    assert line.endswith("-:-- left")  # The first step compiles.
    for _ in range(2):
        measured.begin()
        measured.end(1000)
    line, speed = measured.line(3, {"loss": 2.34567, "bits_per_byte": 3.0})
    assert speed == 500.0
    assert line == "step   3/100  loss 2.3457  bits/byte 3.0000  500 tokens/s  3:14 left"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.2, "1:00"), (3725, "1:02:05")])
def test_duration(seconds, text):
    assert progress.duration(seconds) == text

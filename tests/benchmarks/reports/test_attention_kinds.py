"""The tables and the plot of the comparison of kinds, from made measurements."""

import pytest

from benchmarks.measuring.layer_subjects import LayerSubject
from benchmarks.reports import attention_kinds, kinds_plot, kinds_quality

FULL = LayerSubject("full", causal=True, state="all keys and values", peer=False)
LOCAL = LayerSubject("local", causal=True, state="the latest C keys and values", peer=False)
LOW_RANK = LayerSubject("low_rank", causal=False, state=None, peer=False)


def _layer(subject, length, seconds=None, number=0, **fields):
    identity = {"measured": "layer", "subject": subject, "length": length, "layers": 1, "round": number}
    done = {"status": "done", "seconds": 1.0, "step_s": seconds, "peak_mib": 150.0, "base_mib": 50.0, "parameters": 9}
    return {**identity, **(fields or {**done, "forward_s": seconds and seconds / 4})}


def _decoding(subject, length, seconds, size):
    identity = {"measured": "decoding", "subject": subject, "length": length, "layers": 1, "round": 0}
    return {**identity, "status": "done", "token_s": seconds, "state_bytes": size}


def _training(subject, rate, seed, bits, seconds):
    identity = {"measured": "quality", "subject": subject, "length": 8, "layers": 1, "rate": rate, "seed": seed}
    points = [(2, seconds / 2, bits + 1), (4, seconds, bits)]
    curve = [{"steps": steps, "seconds": after, "validation_bits": loss} for steps, after, loss in points]
    return {**identity, "status": "done", "validation_bits": bits, "train_bits": bits, "curve": curve}


MEASUREMENTS = [
    _layer("full", 1024, 0.010),
    _layer("full", 1024, 0.030, number=1),
    _layer("full", 4096, 0.320),
    _layer("full", 16384, status="timeout", reason="not done after 9 s", seconds=9.0),
    _layer("full", 65536, status="skipped", reason="timeout at measured layer, subject full", seconds=0.0),
    _layer("local", 1024, 0.004),
    _layer("local", 4096, status="failed", reason="exit code 1: Trace\na | b", seconds=1.0),
    _layer("low_rank", 1024, 0.005),
    _decoding("full", 1024, 0.001, 4096),
    _decoding("full", 4096, 0.002, 16384),
    _decoding("local", 1024, 0.001, 512),
    _decoding("local", 4096, 0.001, 512),
    _training("full", 1e-3, 0, 3.0, 80.0),
    _training("full", 1e-3, 1, 2.8, 80.0),
    _training("full", 3e-3, 0, 3.5, 80.0),
    _training("local", 3e-3, 0, 3.4, 60.0),
    _training("local", 1e-3, 0, 3.6, 60.0),
]


def _rows(text, heading):
    """The cells of the table after a heading, by the first of each row."""
    block = text.split(heading)[1].split("\n\n")[1]
    return {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in block.splitlines()[2:])}


def _report(*names):
    return attention_kinds.report([FULL, LOCAL, LOW_RANK], MEASUREMENTS, names, 4)


def test_layers():
    text = _report("layer")
    skipped = "skipped: over the time limit at a smaller size or before"
    rows = _rows(text, "Forward and backward of one layer")
    assert rows["full"] == ["20", "320", "over the time limit", skipped, "L^2.00"]
    assert rows["local"] == ["4", "failed (a / b)", "-", "-", "-"]
    assert rows["low_rank"] == ["5", "-", "-", "-", "-"]
    assert _rows(text, "Forward alone")["full"][:2] == ["5", "80"]
    assert _rows(text, "Peak memory")["full"][:2] == ["100", "100"]
    assert "Not causal, measured in both directions: low_rank." in text
    assert "Decoding" not in text and "learning rate" not in text


def test_decoding():
    text = _report("decoding")
    assert _rows(text, "Decoding one token")["full"] == ["1", "2", "L^0.50"]
    assert _rows(text, "State of one layer") == {
        "full": ["4,096", "16,384", "L^1.00"],
        "local": ["512", "512", "L^0.00"],
    }
    assert "low_rank attends in both directions only, so it cannot decode." in text
    assert "local stores the latest C keys and values." in text


def test_quality_at_equal_steps_and_equal_time():
    rows = _rows(_report("quality"), "real text")
    assert rows["full"] == ["0.001", "2.9000", "2", "0.2000", "3.4000", "80", "2.9000"]
    assert rows["local"] == ["0.003", "3.4000", "1", "0.0000", "3.4000", "60", "3.4000"]
    assert rows["low_rank"] == ["-", "attends in both directions only", "-", "-", "-", "-", "-"]


def test_the_best_rate_is_that_of_the_first_seed():
    runs = [m for m in MEASUREMENTS if m["measured"] == "quality"]
    assert kinds_quality.best_rates(runs) == {"full": 1e-3, "local": 3e-3}
    assert kinds_quality.best_rates([{**run, "status": "timeout"} for run in runs]) == {}


def test_bits_between_validations():
    curve = [{"seconds": 2.0, "validation_bits": 4.0}, {"seconds": 4.0, "validation_bits": 3.0}]
    assert kinds_quality.bits_after(curve, 1.0) is None
    assert [kinds_quality.bits_after(curve, t) for t in (2.0, 3.5, 4.0, 9.0)] == [4.0, 3.25, 3.0, 3.0]


def test_growth_needs_two_lengths():
    assert attention_kinds.growth({1024: 2.0, 2048: 4.0, 8192: 32.0}) == "L^1.50"
    assert attention_kinds.growth({1024: 2.0}) == attention_kinds.growth({1024: 0.0, 2048: 4.0}) == "-"


def test_the_plot():
    pytest.importorskip("matplotlib")
    time, _, _, state, steps, _ = kinds_plot.draw(MEASUREMENTS).axes
    assert [line.get_label() for line in time.lines] == ["full", "local", "low_rank"]
    assert list(time.lines[0].get_ydata()) == [20.0, 320.0]
    assert list(state.lines[1].get_ydata()) == [512, 512]
    assert [line.get_label() for line in steps.lines] == ["full", "local"]
    assert len(kinds_plot.draw(MEASUREMENTS[:3]).axes) == 2

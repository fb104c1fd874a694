"""Medians, ratios and crossovers of a sweep, their tables and plots."""

import pytest

from benchmarks.measuring import sweep
from benchmarks.reports import scaling, scaling_plot, summary
from tests.benchmarks import fake_subject

LABELS = ["ours", "ours:bfloat16", "huggingface:bfloat16", "lucidrains", "torch_exact"]


@pytest.fixture
def measurements():
    sizes = [(1024, 6), (4096, 6), (4096, 12)]
    identities = [identity for _, identity in sweep.plan(fake_subject.subjects(*LABELS), sizes, 3)]
    done = [{**fake_subject.measured(identity), **identity} for identity in identities]
    failed = {"subject": "keras_attention", "length": 4096, "layers": 6, "round": 0}
    return [*done, {**failed, "status": "out_of_memory", "seconds": 5.0, "reason": "Trace\nno memory"}]


def _find(rows, **fields):
    (row,) = [row for row in rows if all(row[k] == v for k, v in fields.items())]
    return row


def test_medians_keep_the_smallest_and_the_largest(measurements):
    point = _find(summary.medians(measurements), subject="ours", length=4096, layers=6)
    assert point["rounds"] == 3
    assert point["tokens_per_s"] == pytest.approx({"median": 1000 / 1.1, "min": 1000 / 1.2, "max": 1000})
    assert point["above_base_mib"]["median"] == pytest.approx(409.6)
    assert point["activations_mib"]["median"] == pytest.approx(409.6 - 24000 / 2**20)


def test_failures_stay_visible(measurements):
    point = _find(summary.medians(measurements), subject="keras_attention")
    assert point["rounds"] == 0 and point["status"] == "out_of_memory"
    assert "out_of_memory (no memory)" in scaling.report(summary.summarize(measurements), 6, 4096)


def test_ratios_to_the_best_of_the_others(measurements):
    rows = summary.summarize(measurements)["ratios"]
    own = _find(rows, subject="ours", length=4096, layers=6, group="reformers", precision="float32")
    assert (own["fastest"], own["speed"], own["memory"]) == ("lucidrains", pytest.approx(8), pytest.approx(0.25))
    best = _find(rows, subject="ours", length=4096, layers=6, group="reformers", precision="any")
    assert (best["fastest"], best["speed"]) == ("huggingface:bfloat16", pytest.approx(4))
    exact = _find(rows, subject="ours", length=1024, layers=6, group="exact", precision="float32")
    assert (exact["fastest"], exact["speed"]) == ("torch_exact", pytest.approx(0.5))
    none = _find(rows, subject="ours:bfloat16", length=1024, layers=6, group="exact", precision="bfloat16")
    assert none["fastest"] is None and none["speed"] is None and none["memory"] is None


def test_the_crossover_is_found_in_the_same_precision_only(measurements):
    (found,) = summary.summarize(measurements)["crossovers"]
    assert (found["subject"], found["exact"], found["length"]) == ("ours", "torch_exact", pytest.approx(2048))
    assert scaling.crossover_line(found).endswith("faster from about 2,048 tokens on (interpolated).")


@pytest.mark.parametrize(
    "gains, expected",
    [
        ([0.5, 2, 4], 2**0.5),
        ([2, 3, 4], 1),
        ([0.1, 0.2, 0.9], None),
        ([2, 0.5, 2], 2 * 2**0.5),
        ([2, 2, 0.5], None),
        ([1, 2, 4], 1),
    ],
)
def test_crossovers(gains, expected):
    found = summary.crossover([1, 2, 4], gains)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "length, text",
    [(None, "not faster at 4,096 tokens, the longest"), (1024.0, "faster from 1,024 tokens on, the shortest")],
)
def test_that_there_is_no_crossover_is_said(length, text):
    found = {"subject": "ours", "exact": "torch_exact", "layers": 6, "shortest": 1024, "longest": 4096}
    line = scaling.crossover_line({**found, "length": length})
    assert line.startswith("No crossover") and text in line


def test_the_report_has_every_table(measurements):
    text = scaling.report(summary.summarize(measurements), 6, 4096)
    assert ["4,096", "ours", "reformers", "float32", "8.00", "lucidrains", "0.25", "lucidrains"] in [
        line.split() for line in text.splitlines()
    ]
    assert "Over depth, length 4,096" in text and "12 / 6" in text
    empty = scaling.report(summary.summarize([]), 6, 4096)
    assert "Crossover with exact attention: not measured" in empty


def test_the_plot_shows_the_crossover(measurements):
    pytest.importorskip("matplotlib")
    summarized = summary.summarize(measurements)
    time, memory, depth = scaling_plot.draw(summarized, 6, 4096).axes
    labels = {line.get_label(): line for line in time.get_lines()}
    assert labels["ours faster than torch_exact from 2,048"].get_xdata()[0] == pytest.approx(2048)
    assert not any("faster" in line.get_label() for axes in (memory, depth) for line in axes.get_lines())
    # There is no crossover at another depth, or if one subject is faster everywhere.
    everywhere = {**summarized, "crossovers": [{**summarized["crossovers"][0], "length": 1024.0}]}
    for other in (scaling_plot.draw(summarized, 12, 4096), scaling_plot.draw(everywhere, 6, 4096)):
        assert not any("faster" in line.get_label() for line in other.axes[0].get_lines())


def test_the_plot_of_nothing_is_empty():
    pytest.importorskip("matplotlib")
    assert all(not axes.get_lines() for axes in scaling_plot.draw(summary.summarize([]), 6, 4096).axes)


def test_what_was_measured_is_said_in_a_line():
    found = fake_subject.measured({"subject": "ours", "length": 1024, "layers": 6, "round": 1})
    assert scaling.outcome(found) == "909 tokens/s, 102 MiB above base"

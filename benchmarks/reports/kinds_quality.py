"""Evaluates the trainings of `benchmarks.attention_kinds`: the best learning rate, equal steps, and equal time."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.measuring.layer_subjects import LayerSubject
from compilers.processes import limited_process
from compilers.reports.table import markdown

TUNED = 0
"""The seed at which learning rates are compared."""

_NOTHING = "-"
Curve = list[dict[str, float]]


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a training."""
    return f"{measured['validation_bits']:.4f} bits per byte, {measured['curve'][-1]['seconds']:.0f} s"


def best_rates(runs: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The learning rate of each subject with the fewest bits per byte at the seed `TUNED`.

    Args:
        runs: of trainings; those that are not done do not count.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run["status"] == limited_process.DONE and run["seed"] == TUNED:
            best = found.setdefault(run["subject"], run)
            if run["validation_bits"] < best["validation_bits"]:
                found[run["subject"]] = run
    return {subject: run["rate"] for subject, run in found.items()}


def tuned_runs(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The trainings of each subject at its best rate that are done, one a seed."""
    return {
        subject: [
            run
            for run in runs
            if (run["subject"], run["rate"]) == (subject, rate) and run["status"] == limited_process.DONE
        ]
        for subject, rate in best_rates(runs).items()
    }


def mean_curve(runs: Sequence[dict[str, Any]]) -> Curve:
    """The mean of the curves of several seeds."""
    return [
        {name: statistics.mean(point[name] for point in points) for name in ("steps", "seconds", "validation_bits")}
        for points in zip(*(run["curve"] for run in runs), strict=True)
    ]


def bits_after(curve: Curve, seconds: float) -> float | None:
    """The bits per byte after so many seconds of training, interpolated; None before the first validation.

    Example:
        >>> bits_after([{"seconds": 1.0, "validation_bits": 4.0}, {"seconds": 3.0, "validation_bits": 3.0}], 2.0)
        3.5
    """
    before = [point for point in curve if point["seconds"] <= seconds]
    after = [point for point in curve if point["seconds"] > seconds]
    if not before:
        return None
    if not after:
        return curve[-1]["validation_bits"]
    left, right = before[-1], after[0]
    part = (seconds - left["seconds"]) / (right["seconds"] - left["seconds"])
    return left["validation_bits"] + part * (right["validation_bits"] - left["validation_bits"])


def report(subjects: Sequence[LayerSubject], runs: Sequence[dict[str, Any]], steps: int) -> str:
    """The table of bits per byte of held-out text at equal steps, and at the time that the fastest takes for them.

    Args:
        subjects: the rows.
        runs: of trainings, of equal sizes.
        steps: of each training.
    """
    tuned = tuned_runs(runs)
    curves = {subject: mean_curve(own) for subject, own in tuned.items()}
    equal_time = min((curve[-1]["seconds"] for curve in curves.values()), default=0.0)
    rows = [
        [
            "kind",
            "learning rate",
            f"bits per byte after {steps:,} steps",
            "seeds",
            "range",
            f"after {equal_time:,.0f} s",
            f"seconds of {steps:,} steps",
            "bits per byte in training",
        ]
    ]
    for subject in subjects:
        if subject.label not in tuned:
            rows.append([subject.label, _NOTHING, _why_not(subject, runs), *[_NOTHING] * 5])
            continue
        own, curve = tuned[subject.label], curves[subject.label]
        bits = [run["validation_bits"] for run in own]
        timed = bits_after(curve, equal_time)
        rows.append(
            [
                subject.label,
                f"{own[0]['rate']:g}",
                f"{statistics.mean(bits):.4f}",
                str(len(own)),
                f"{max(bits) - min(bits):.4f}",
                "before the first validation" if timed is None else f"{timed:.4f}",
                f"{curve[-1]['seconds']:,.0f}",
                f"{statistics.mean(run['train_bits'] for run in own):.4f}",
            ]
        )
    return "\n\n".join([f"Trained on real text; rates compared at seed {TUNED}", markdown(rows)])


def _why_not(subject: LayerSubject, runs: Iterable[dict[str, Any]]) -> str:
    """The reason why a subject has no training that is done."""
    if not subject.causal:
        return "attends in both directions only"
    tried = next((run for run in runs if run["subject"] == subject.label), None)
    return "not trained" if tried is None else limited_process.failure(tried)[:80].replace("|", "/")

"""Writes the results of `benchmarks.attention_kinds` as tables in Markdown."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measuring import sweep
from benchmarks.measuring.layer_subjects import LayerSubject
from benchmarks.reports import kinds_quality, summary
from compilers.processes import limited_process
from compilers.reports.table import markdown

LAYER, DECODING, QUALITY = "layer", "decoding", "quality"
"""What is measured, as the points of a file name it."""

LAYER_QUANTITIES: summary.Quantities = {
    "step_ms": lambda m: 1e3 * m["step_s"],
    "forward_ms": lambda m: 1e3 * m["forward_s"],
    "above_base_mib": lambda m: m["peak_mib"] - m["base_mib"],
}
DECODING_QUANTITIES: summary.Quantities = {
    "token_ms": lambda m: 1e3 * m["token_s"],
    "state_bytes": lambda m: m["state_bytes"],
}

_NOTHING = "-"
_LIMITS = {limited_process.TIMEOUT: "over the time limit", limited_process.MEMORY: "over the memory limit"}
_SAID = 80  # Characters of a reason that go into a table.


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a point."""
    if measured["measured"] == QUALITY:
        return kinds_quality.outcome(measured)
    quantities = LAYER_QUANTITIES if measured["measured"] == LAYER else DECODING_QUANTITIES
    return ", ".join(f"{name} {number(quantity(measured))}" for name, quantity in quantities.items())


def layers(subjects: Sequence[LayerSubject], measurements: Iterable[dict[str, Any]]) -> str:
    """The tables of time and memory of one layer over its length.

    Args:
        subjects: the rows.
        measurements: of layers.
    """
    points = summary.medians(measurements, LAYER_QUANTITIES)
    parts = []
    for name, heading in {
        "step_ms": "Forward and backward of one layer, ms, by tokens of the sequence",
        "forward_ms": "Forward alone, ms",
        "above_base_mib": "Peak memory of forward and backward above the base, MiB",
    }.items():
        parts += [heading, _grid(subjects, points, name)]
    return "\n\n".join([*parts, *_not_causal(subjects)])


def _not_causal(subjects: Iterable[LayerSubject]) -> list[str]:
    both = [subject.label for subject in subjects if not subject.causal]
    return [f"Not causal, measured in both directions: {', '.join(both)}."] if both else []


def decoding(subjects: Sequence[LayerSubject], measurements: Iterable[dict[str, Any]]) -> str:
    """The tables of the time of a token and of the size of the state over the tokens before.

    Args:
        subjects: the rows; those that cannot decode are listed with the reason.
        measurements: of decoding.
    """
    points = summary.medians(measurements, DECODING_QUANTITIES)
    measured = [subject for subject in subjects if not subject.without_decoding]
    parts = []
    for name, heading in {
        "token_ms": "Decoding one token in one layer, ms, by tokens already decoded",
        "state_bytes": "State of one layer, bytes of a row",
    }.items():
        parts += [heading, _grid(measured, points, name)]
    parts += [f"{subject.label} stores {subject.state}." for subject in measured]
    parts += [f"{subject.label} {subject.without_decoding}." for subject in subjects if subject.without_decoding]
    return "\n\n".join(parts)


def _grid(subjects: Sequence[LayerSubject], points: Sequence[dict[str, Any]], name: str) -> str:
    """A row for each subject, a column for each length, and how the quantity grows at the end."""
    lengths = sorted({point["length"] for point in points})
    rows = [["kind", *(f"{length:,}" for length in lengths), "growth"]]
    for subject in subjects:
        own = {point["length"]: point for point in points if point["subject"] == subject.label}
        values = {length: point[name]["median"] for length, point in own.items() if point["rounds"]}
        cells = [
            number(values[length]) if length in values else reason(own[length]) if length in own else _NOTHING
            for length in lengths
        ]
        rows.append([subject.label, *cells, growth(values)])
    return markdown(rows)


def growth(values: dict[int, float]) -> str:
    """How a quantity grows from the last but one length to the last, as a power of the length.

    Example:
        >>> growth({1024: 3.0, 2048: 5.0, 4096: 20.0})
        'L^2.00'
    """
    (first, before), (last, after) = ([(0, 0.0), (0, 0.0), *sorted(values.items())])[-2:]
    return f"L^{math.log(after / before) / math.log(last / first):.2f}" if before > 0 and after > 0 else _NOTHING


def reason(point: dict[str, Any]) -> str:
    """Why a point has no value, in a few words."""
    status, said = point["status"], point["reason"]
    if status == sweep.SKIPPED:
        earlier = said.split(" at ")[0]
        return f"skipped: {_LIMITS.get(earlier, earlier)} at a smaller size or before"
    return _LIMITS.get(status) or limited_process.failure(point)[:_SAID].replace("|", "/")


def number(value: float) -> str:
    """A number with three digits or more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(
    subjects: Sequence[LayerSubject], measurements: Sequence[dict[str, Any]], reports: Sequence[str], steps: int
) -> str:
    """All tables.

    Args:
        subjects: the rows.
        measurements: the points of a file of results.
        reports: of `LAYER`, `DECODING` and `QUALITY`, those to write.
        steps: of the trainings.
    """
    writers: dict[str, Callable[[list[dict[str, Any]]], str]] = {
        LAYER: lambda own: layers(subjects, own),
        DECODING: lambda own: decoding(subjects, own),
        QUALITY: lambda own: kinds_quality.report(subjects, own, steps),
    }
    return "\n\n".join(
        writer([m for m in measurements if m["measured"] == name])
        for name, writer in writers.items()
        if name in reports
    )

"""Draws the results of `benchmarks.attention_kinds`."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.reports import attention_kinds, figures, kinds_quality, summary


def draw(measurements: Sequence[dict[str, Any]]) -> Any:
    """Draws time and memory of a layer, time and state of decoding, and bits per byte, each where it was measured.

    Args:
        measurements: the points of a file of results.

    Returns:
        A figure of matplotlib, with one row of panels for each measured thing.
    """
    own = {
        name: [m for m in measurements if m["measured"] == name]
        for name in (attention_kinds.LAYER, attention_kinds.DECODING, attention_kinds.QUALITY)
    }
    colors = {label: f"C{i}" for i, label in enumerate(dict.fromkeys(m["subject"] for m in measurements))}
    rows = [name for name, found in own.items() if found]
    figure = figures.new(12, 4.5 * max(1, len(rows)))
    for name, axes in zip(rows, figure.subplots(max(1, len(rows)), 2, squeeze=False), strict=False):
        _DRAWN[name](axes, own[name], colors)
    return figure


def _over_length(
    axes: Sequence[Any],
    measurements: list[dict[str, Any]],
    colors: dict[str, str],
    quantities: summary.Quantities,
    title: str,
    length: str,
    labels: dict[str, str],
) -> None:
    """Draws quantities over the length, one in each panel; `labels` are of their axes."""
    points = summary.medians(measurements, quantities)
    for own, (quantity, label) in zip(axes, labels.items(), strict=True):
        _lines(own, points, quantity, colors)
        figures.logarithmic(own, title, length, label)
    axes[0].legend()


def _quality(axes: Sequence[Any], measurements: list[dict[str, Any]], colors: dict[str, str]) -> None:
    for label, runs in kinds_quality.tuned_runs(measurements).items():
        curve = kinds_quality.mean_curve(runs)
        for own, over in zip(axes, ("steps", "seconds"), strict=True):
            values = ([point[over] for point in curve], [point["validation_bits"] for point in curve])
            own.plot(*values, label=label, color=colors[label], marker=".")
    for own, over in zip(axes, ("steps", "seconds of training"), strict=True):
        own.set(title="Held-out text", xlabel=over, ylabel="bits per byte")
        own.grid(alpha=0.3)
    axes[0].legend()


def _lines(axes: Any, points: list[dict[str, Any]], quantity: str, colors: dict[str, str]) -> None:
    """Draws one line a subject; values that are not positive cannot be on a logarithmic axis."""
    for label in dict.fromkeys(point["subject"] for point in points):
        own = [p for p in points if p["subject"] == label and p["rounds"] and p[quantity]["median"] > 0]
        values = ([p["length"] for p in own], [p[quantity]["median"] for p in own])
        axes.plot(*values, label=label, color=colors[label], marker="o")


_DRAWN: dict[str, Callable[[Sequence[Any], list[dict[str, Any]], dict[str, str]], None]] = {
    attention_kinds.LAYER: functools.partial(
        _over_length,
        quantities=attention_kinds.LAYER_QUANTITIES,
        title="One layer, forward and backward",
        length="length (tokens)",
        labels={"step_ms": "ms", "above_base_mib": "peak above base (MiB)"},
    ),
    attention_kinds.DECODING: functools.partial(
        _over_length,
        quantities=attention_kinds.DECODING_QUANTITIES,
        title="Decoding in one layer",
        length="tokens already decoded",
        labels={"token_ms": "ms a token", "state_bytes": "state (bytes)"},
    ),
    attention_kinds.QUALITY: _quality,
}

"""Draws the results of `benchmarks.attention_kinds`."""

from collections.abc import Sequence
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


def _layers(axes: Sequence[Any], measurements: list[dict[str, Any]], colors: dict[str, str]) -> None:
    points = summary.medians(measurements, attention_kinds.LAYER_QUANTITIES)
    _lines(axes[0], points, "step_ms", colors)
    figures.logarithmic(axes[0], "One layer, forward and backward", "length (tokens)", "ms")
    _lines(axes[1], points, "above_base_mib", colors)
    figures.logarithmic(axes[1], "One layer, forward and backward", "length (tokens)", "peak above base (MiB)")
    axes[0].legend()


def _decoding(axes: Sequence[Any], measurements: list[dict[str, Any]], colors: dict[str, str]) -> None:
    points = summary.medians(measurements, attention_kinds.DECODING_QUANTITIES)
    _lines(axes[0], points, "token_ms", colors)
    figures.logarithmic(axes[0], "Decoding in one layer", "tokens already decoded", "ms a token")
    _lines(axes[1], points, "state_bytes", colors)
    figures.logarithmic(axes[1], "Decoding in one layer", "tokens already decoded", "state (bytes)")
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


_DRAWN = {
    attention_kinds.LAYER: _layers,
    attention_kinds.DECODING: _decoding,
    attention_kinds.QUALITY: _quality,
}

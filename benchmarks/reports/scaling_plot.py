"""Draws the curves of a sweep."""

from typing import Any

from benchmarks.measuring import subjects
from benchmarks.reports import figures

_COLORS = {
    "ours": "tab:blue",
    "ours_plain": "tab:cyan",
    "keras_attention": "tab:orange",
    "huggingface": "tab:green",
    "lucidrains": "tab:red",
    "performer_pytorch": "tab:brown",
    "torch_exact": "tab:purple",
}
_STYLES = {"float32": "-", "bfloat16": "--", "bfloat16_forward": ":"}
_MARKERS = {"bucket": "o", "chunk": "s"}


def draw(summary: dict[str, Any], layers: int, depth_length: int) -> Any:
    """Draws time per token and memory over length, and memory over depth if several were measured, one line a subject.

    Bars show the smallest and the largest value of the repetitions; vertical lines show the length from which LSH is
    faster than exact attention.

    Args:
        summary: of `benchmarks.reports.summary.summarize`.
        layers: the depth at which lengths were compared.
        depth_length: the length at which depths were compared.

    Returns:
        A figure of matplotlib.
    """
    points = [p for p in summary["points"] if p["rounds"]]
    over_length = [p for p in points if p["layers"] == layers]
    over_depth = [p for p in points if p["length"] == depth_length]
    depths = len({p["layers"] for p in over_depth}) > 1
    figure = figures.new(17 if depths else 11.5, 5.5)
    time, memory, *over = figure.subplots(1, 2 + depths)
    for label in dict.fromkeys(p["subject"] for p in points):
        _line(time, label, over_length, "length", "us_per_token")
        _line(memory, label, over_length, "length", "above_base_mib")
        for axes in over:
            _line(axes, label, over_depth, "layers", "above_base_mib")
    for found in summary["crossovers"]:
        inside = found["length"] is not None and found["length"] != found["shortest"]
        if inside and found["layers"] == layers:
            said = f"{found['subject']} faster than {found['exact']} from {found['length']:,.0f}"
            color = _COLORS[subjects.parse(found["exact"]).name]
            time.axvline(found["length"], label=said, color=color, linestyle=":")
    figures.logarithmic(time, f"Time of a training step, {layers} layers", "length (tokens)", "microseconds a token")
    figures.logarithmic(
        memory, f"Memory of a training step, {layers} layers", "length (tokens)", "peak above base (MiB)"
    )
    for axes in over:
        figures.logarithmic(
            axes, f"Memory of a training step, length {depth_length:,}", "layers", "peak above base (MiB)"
        )
    handles, labels = time.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
    return figure


def _line(axes: Any, label: str, points: list[dict[str, Any]], over: str, quantity: str) -> None:
    """Draws one subject; values that are not positive cannot be on a logarithmic axis."""
    own = [p for p in points if p["subject"] == label and p[quantity]["median"] > 0]
    if not own:
        return
    subject, values = subjects.parse(label), [p[quantity] for p in own]
    axes.errorbar(
        [p[over] for p in own],
        [v["median"] for v in values],
        yerr=[[v["median"] - max(v["min"], 0) for v in values], [v["max"] - v["median"] for v in values]],
        label=label,
        color=_COLORS[subject.name],
        linestyle=_STYLES[subject.precision],
        marker=_MARKERS[subject.window],
        capsize=2,
    )

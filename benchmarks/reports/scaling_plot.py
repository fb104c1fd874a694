"""Draws the curves of a sweep."""

from typing import Any

_COLORS = {
    "ours": "tab:blue",
    "ours_plain": "tab:cyan",
    "keras_attention": "tab:orange",
    "huggingface": "tab:green",
    "lucidrains": "tab:red",
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [p for p in summary["points"] if p["rounds"]]
    over_length = [p for p in points if p["layers"] == layers]
    over_depth = [p for p in points if p["length"] == depth_length]
    depths = len({p["layers"] for p in over_depth}) > 1
    figure = Figure(figsize=(17 if depths else 11.5, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    time, memory, *over = figure.subplots(1, 2 + depths)
    for subject in dict.fromkeys(p["subject"] for p in points):
        own = [p for p in over_length if p["subject"] == subject]
        _line(time, subject, own, "length", lambda p: {k: 1e6 / v for k, v in p["tokens_per_s"].items()})
        _line(memory, subject, own, "length", lambda p: p["above_base_mib"])
        for axes in over:
            own = [p for p in over_depth if p["subject"] == subject]
            _line(axes, subject, own, "layers", lambda p: p["above_base_mib"])
    for found in summary["crossovers"]:
        if found["layers"] == layers:
            _crossover(time, found)
    _axes(time, f"Time of a training step, {layers} layers", "length (tokens)", "microseconds a token")
    _axes(memory, f"Memory of a training step, {layers} layers", "length (tokens)", "peak above base (MiB)")
    for axes in over:
        _axes(axes, f"Memory of a training step, length {depth_length:,}", "layers", "peak above base (MiB)")
    handles, labels = time.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
    return figure


def _crossover(axes: Any, found: dict[str, Any]) -> None:
    """Marks a crossover, if there is one inside the range of lengths."""
    if found["length"] is None or found["length"] == found["shortest"]:
        return
    axes.axvline(
        found["length"],
        label=f"{found['subject']} faster than {found['exact']} from {found['length']:,.0f}",
        color=_COLORS[found["exact"].split(":")[0]],
        linestyle=":",
    )


def _line(axes: Any, subject: str, points: list[dict[str, Any]], over: str, quantity: Any) -> None:
    """Draws one subject; values that are not positive cannot be on a logarithmic axis."""
    points = [p for p in points if quantity(p)["median"] > 0]
    if not points:
        return
    name, *options = subject.split(":")
    precision = next((option for option in options if option in _STYLES), "float32")
    window = "chunk" if "chunk" in options else "bucket"
    values = [quantity(p) for p in points]
    middle = [v["median"] for v in values]
    # Values may be reciprocals, of which the one under "min" is the largest.
    spread = [
        [m - min(v.values()) if min(v.values()) > 0 else 0 for m, v in zip(middle, values, strict=True)],
        [max(v.values()) - m for m, v in zip(middle, values, strict=True)],
    ]
    axes.errorbar(
        [p[over] for p in points],
        middle,
        yerr=spread,
        label=subject,
        color=_COLORS[name],
        linestyle=_STYLES[precision],
        marker=_MARKERS[window],
        capsize=2,
    )


def _axes(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, yscale="log")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(axis="x", labelrotation=30)
    axes.grid(which="both", alpha=0.3)

"""Draws a roofline."""

import pathlib
from typing import Any


def plot(measured: dict[str, Any], path: pathlib.Path) -> None:
    """Draws operations a second over operations a byte: the roofs, and a point for each stage.

    A stage that only moves bytes is at the left edge, at the height of its memory rate.

    Args:
        measured: the results that `benchmarks.roofline` writes.
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bandwidth = measured["limits"]["bytes"]
    left, right = 0.05, 10_000.0
    for dtype, style in (("float32", "-"), ("bfloat16", "--")):
        peak = measured["limits"]["matmul_flops"][dtype]
        xs = [left, peak / bandwidth, right]
        axes.plot(xs, [min(peak, x * bandwidth) for x in xs], color="black", linestyle=style, label=f"{dtype} roof")
        blocks = measured["limits"]["block_flops"][dtype]
        axes.plot([blocks / bandwidth, right], [blocks] * 2, color="grey", linestyle=style, label=f"{dtype} blocks")
    colors = [f"C{i}" for i in range(10)]
    for number, stage in enumerate(measured["stages"]):
        color, hollow = colors[number % len(colors)], stage["part_of"] is not None
        for direction, marker in (("forward", "o"), ("backward", "s")):
            p = stage[direction]
            if not p["bytes"] or p["seconds"] <= 0:
                continue
            x = max(p["flops"] / p["bytes"], left * 1.2)
            y = x * p["bytes"] / p["seconds"]
            axes.plot(x, y, marker=marker, color=color, fillstyle="none" if hollow else "full", linestyle="")
            axes.annotate(
                f"{stage['name']} {'f' if direction == 'forward' else 'b'}",
                (x, y),
                xytext=(6, 3 if direction == "forward" else -9),
                textcoords="offset points",
                fontsize=7.5,
                color=color,
            )
    arguments = measured["arguments"]
    axes.set(
        title=f"Stages of a training step: {arguments['precision']}, length {arguments['length']:,},"
        f" width {arguments['width']} (f and circles: forward, b and squares: backward)",
        xlabel="operations a byte",
        ylabel="operations a second",
        xscale="log",
        yscale="log",
        xlim=(left, right),
    )
    axes.grid(which="both", alpha=0.2)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120, format="png")

"""Figures of matplotlib, which is needed only to draw."""

import importlib.util
import pathlib
from typing import Any


def is_installed() -> bool:
    """Whether figures can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


def check(path: str | None) -> None:
    """Refuses a plot that was asked for and cannot be drawn.

    Args:
        path: value of `--plot`; empty or None where none was asked for.

    Raises:
        ValueError: if there is a path and no matplotlib.
    """
    if path and not is_installed():
        raise ValueError(f"--plot needs matplotlib. Received: --plot={path}, without it")


def path(plot: str | None, output: str) -> pathlib.Path | None:
    """The file of the plot that belongs to a file of results, or None.

    Args:
        plot: value of `--plot`; None for the file of results with the ending of a picture, empty for no plot.
        output: the file of results.

    Raises:
        ValueError: if a plot was asked for and cannot be drawn.
    """
    check(plot)
    chosen = pathlib.Path(output).with_suffix(".png") if plot is None else pathlib.Path(plot)
    return chosen if is_installed() and plot != "" else None


def new(width: float, height: float) -> Any:
    """Makes a figure without a window, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def logarithmic(axes: Any, title: str, x: str, y: str) -> None:
    """Gives axes a title, labels, and two logarithmic scales, that of x with powers of two."""
    axes.set(title=title, xlabel=x, ylabel=y, yscale="log")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(axis="x", labelrotation=30)
    axes.grid(which="both", alpha=0.3)

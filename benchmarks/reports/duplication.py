"""Writes and draws the results of `benchmarks.duplication`."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measuring.duplication_flags import EXACT, ROUNDS, TRAINED
from benchmarks.reports import figures
from compilers.processes import limited_process
from compilers.reports.table import table

_EVALUATED = (EXACT, *map(str, ROUNDS))


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a run."""
    means = (f"{name} {100 * statistics.mean(measured['accuracy'][name]):.2f}" for name in _EVALUATED)
    return f"evaluated with {', '.join(means)} %"


def summarize(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Computes the mean accuracy and its standard error, by what was trained and what it was evaluated with.

    The draws of a run are averaged first, so that the standard error is over seeds, and over draws where there is one
    seed only.

    Args:
        runs: the results of the processes.
    """
    found = {}
    for trained in TRAINED:
        own = [run["accuracy"] for run in runs if run["trained"] == trained and run["status"] == limited_process.DONE]
        for evaluated in _EVALUATED if own else ():
            means = [statistics.mean(accuracy[evaluated]) for accuracy in own]
            values = means if len(means) > 1 else own[0][evaluated]
            error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
            found[trained, evaluated] = (statistics.mean(means), error)
    return found


def report(runs: Sequence[dict[str, Any]]) -> str:
    """The table: a row for each training, a column for each evaluation."""
    found = summarize(runs)
    rows = [["trained with", *(name if name == EXACT else f"{name} round(s)" for name in _EVALUATED)]]
    for trained in TRAINED:
        cells = [found.get((trained, evaluated)) for evaluated in _EVALUATED]
        rows.append([trained, *("-" if c is None else f"{100 * c[0]:.2f} ±{100 * c[1]:.2f}" for c in cells)])
    return table(rows)


def draw(runs: Sequence[dict[str, Any]]) -> Any:
    """Draws the share of errors over the rounds of the evaluation, one line for each training.

    Returns:
        A figure of matplotlib.
    """
    found = summarize(runs)
    figure = figures.new(7, 5)
    axes = figure.subplots()
    for trained in TRAINED:
        cells = [found.get((trained, str(rounds))) for rounds in ROUNDS]
        known = [(rounds, *cell) for rounds, cell in zip(ROUNDS, cells, strict=True) if cell is not None]
        if known:
            rounds, means, errors = zip(*known, strict=True)
            wrong = [max(100 * (1 - mean), 1e-3) for mean in means]
            bars = [100 * error for error in errors]
            axes.errorbar(rounds, wrong, yerr=bars, label=f"trained with {trained}", marker="o", capsize=2)
    figures.logarithmic(axes, "Duplication", "rounds of the evaluation", "wrong (%), at least 0.001")
    axes.legend()
    return figure

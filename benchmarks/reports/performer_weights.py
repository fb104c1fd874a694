"""Writes the results of `benchmarks.performer_weights` as tables in Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.measuring.performer_variants import BASE, REDRAW_EVERY, SCRATCH, VARIANTS
from compilers.processes import limited_process
from compilers.reports.table import markdown

_FEATURES = {"softmax": "softmax", "softmax_regularized": "softmax, regularized", "relu": "ReLU"}


def label(variant: str) -> str:
    """Names a model for people."""
    options = VARIANTS[variant]
    if options is None:
        return "exact attention"
    begins = ", from random weights" if variant == SCRATCH else ""
    redrawn = f", redrawn every {REDRAW_EVERY} steps" if "redraw_every" in options else ""
    return f"{_FEATURES[options['features']]}, m = {options['num_features']}{redrawn}{begins}"


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a run."""
    return f"{measured['bits_per_byte'][0]:.3f} bits per byte at once, {measured['bits_per_byte'][-1]:.3f} at the end"


def report(runs: Sequence[dict[str, Any]]) -> str:
    """The bits per byte of each model but the trained one, by the number of steps.

    Args:
        runs: the results of the processes; failed runs have a `reason`.
    """
    compared = [run for run in runs if run["variant"] != BASE]
    steps = next((run["steps"] for run in compared if run["status"] == limited_process.DONE), [0])
    rows = [["attention", "at once", *(f"{step} steps" for step in steps[1:])]]
    for run in compared:
        done = run["status"] == limited_process.DONE
        cells = [f"{bits:.3f}" for bits in run["bits_per_byte"]] if done else [run["status"]]
        rows.append([label(run["variant"]), *cells, *[""] * (len(steps) - len(cells))])
    return markdown(rows)


def norms(base: dict[str, Any]) -> str:
    r"""How large queries and keys of the trained model are, by layer.

    Args:
        base: the result of its process.
    """
    rows = [["layer", r"mean of \|q\| D^-1/4", r"mean of \|k\| D^-1/4", "std of q's entries", "std of k's entries"]]
    for index, layer in enumerate(base["layers"]):
        numbers = [layer[name] for name in ("query_norm", "key_norm", "query_std", "key_std")]
        rows.append([str(index), *(f"{number:.2f}" for number in numbers)])
    return markdown(rows)

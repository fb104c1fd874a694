"""Writes the results of `benchmarks.quality` as text."""

import statistics
from collections.abc import Sequence
from typing import Any

from compilers.processes import limited_process
from compilers.reports.table import table


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a run."""
    return f"{measured['validation_bits']:.4f} bits per byte"


def report(runs: Sequence[dict[str, Any]]) -> str:
    """The table of bits per byte by subject, in the sequence of the runs.

    Args:
        runs: the results of the processes; failed runs have a `reason`.
    """
    rows = [["subject", "validation", "range", "training", "minutes"]]
    for label in dict.fromkeys(run["subject"] for run in runs):
        own = [run for run in runs if run["subject"] == label]
        done = [run for run in own if run["status"] == limited_process.DONE]
        if not done:
            rows.append([label, own[0]["status"], "", "", ""])
            continue
        bits = [run["validation_bits"] for run in done]
        training = statistics.mean(run["train_bits"] for run in done)
        # Earlier versions wrote the time of all steps as `seconds`.
        minutes = statistics.mean(run.get("train_seconds", run["seconds"]) for run in done) / 60
        spread = max(bits) - min(bits)
        rows.append([label, f"{statistics.mean(bits):.4f}", f"{spread:.4f}", f"{training:.4f}", f"{minutes:.1f}"])
    return table(rows)

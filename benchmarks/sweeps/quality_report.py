"""Writes the table of `benchmarks.quality`."""

import statistics
from typing import Any

from benchmarks.measuring import point_process

_HEADER = ("subject", "validation", "range", "training", "minutes")


def table(runs: list[dict[str, Any]]) -> str:
    """Bits per byte by subject, in the sequence of the runs.

    Args:
        runs: the results of the processes; failed runs have a `reason`.
    """
    rows = [_HEADER]
    for label in dict.fromkeys(run["subject"] for run in runs):
        own = [run for run in runs if run["subject"] == label]
        done = [run for run in own if run["status"] == point_process.DONE]
        if not done:
            rows.append((label, own[0]["status"], "", "", ""))
            continue
        bits = [run["validation_bits"] for run in done]
        rows.append(
            (
                label,
                f"{statistics.mean(bits):.4f}",
                f"{max(bits) - min(bits):.4f}",
                f"{statistics.mean(run['train_bits'] for run in done):.4f}",
                f"{statistics.mean(run['seconds'] for run in done) / 60:.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

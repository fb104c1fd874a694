"""Writes the results of `benchmarks.gpu_step` as text."""

from collections.abc import Mapping
from typing import Any

from benchmarks.measuring import gpu_plan
from compilers.processes import limited_process

_GIB = 2**30


def line(point: Mapping[str, Any]) -> str:
    """A point as one line."""
    name = f"{point['subject']}, {point['length']:,} tokens"
    if point["status"] != limited_process.DONE:
        return f"{name}: {limited_process.failure(point)}"
    if point["subject"] == gpu_plan.CHECK:
        verdict = "equal" if point["passed"] else "DIFFERENT"
        errors = f"loss {point['loss_error']:.1e}, gradients {point['gradient_error']:.1e} off"
        return f"{name}: {verdict}; {errors}; {point['device']}"
    said = [f"{1000 * point['step_s']:,.1f} ms", f"{point['tokens_per_s']:,.0f} tokens/s"]
    if point["share_of_peak"] is not None:
        said.append(f"{point['share_of_peak']:.1%} of the peak")
    for label, field in {"peak": "peak_bytes", "temporary": "temporary_bytes"}.items():
        if point.get(field) is not None:
            said.append(f"{point[field] / _GIB:,.2f} GiB {label}")
    return f"{name}: {', '.join(said)}; {point['device']}, {point['seconds']:.0f} s in all"

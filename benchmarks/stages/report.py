"""Writes a roofline as text."""

from collections.abc import Iterable
from typing import Any

from benchmarks.sweeps.report import table

_MIB = 2**20


def report(measured: dict[str, Any]) -> str:
    """Writes the limits of the machine, the table of the stages, and how much of the step they explain.

    Args:
        measured: the results that `benchmarks.roofline` writes.
    """
    limits = measured["limits"]
    lines = ["Limits of the machine, measured in this run:"]
    for dtype, rate in limits["matmul_flops"].items():
        blocks = limits["block_flops"][dtype]
        lines.append(
            f"  {dtype}: {rate / 1e9:,.0f} GFLOP/s in large products, {blocks / 1e9:,.0f} in products of blocks"
        )
    gelus = ", ".join(f"{rate / 1e9:.2f} in {dtype}" for dtype, rate in limits["gelus"].items())
    lines.append(f"  memory: {limits['bytes'] / 1e9:.1f} GB/s; a balance of {_balance(measured):.0f} operations a byte")
    lines.append(f"  exp: {limits['exponentials'] / 1e9:.2f} G/s; gelu: {gelus} G/s")
    step, sums = measured["step_s"], measured["stages_s"]
    layers, length = measured["arguments"]["layers"], measured["arguments"]["length"]
    return "\n\n".join(
        [
            "\n".join(lines),
            _table(measured["stages"], step),
            "limit: the larger of operations by the peak of large products and bytes by the memory's rate."
            "\nwith exp: the same with products of blocks at their own rate, and exp and gelu beside them."
            "\nTimes are those of one layer; of step: of all layers in the step. Indented: parts of the stage above.",
            f"Sum of the stages of {layers} layers: {sums:.3f} s; the whole step, measured: {step:.3f} s"
            f" ({measured['arguments']['batch'] * length / step:,.0f} tokens/s)."
            f"\nNot explained by the stages: {step - sums:.3f} s, {(step - sums) / step:.0%} of the step."
            f"\nLimit of all stages: {measured['limit_s']:.3f} s, {measured['limit_s'] / step:.0%} of the step;"
            f" with exp: {measured['practical_limit_s']:.3f} s, {measured['practical_limit_s'] / step:.0%}.",
        ]
    )


def _balance(measured: dict[str, Any]) -> float:
    return measured["peak_flops"] / measured["limits"]["bytes"]


def _table(stages: Iterable[dict[str, Any]], step: float) -> str:
    heading = ["stage", "pass", "GFLOP", "MiB", "ms", "GFLOP/s", "GB/s", "limit ms", "bound by", "share", "with exp"]
    rows = [[*heading, "of step"]]
    for stage in stages:
        indent = "  " if stage["part_of"] else ""
        for direction in ("forward", "backward"):
            p = stage[direction]
            if not p["bytes"]:
                continue
            seconds = p["seconds"]
            rate = [f"{p[name] / seconds / 1e9:,.1f}" if seconds > 0 else "-" for name in ("flops", "bytes")]
            fractions = [
                f"{p[name] / seconds:.0%}" if seconds > 0 else "-" for name in ("limit_s", "practical_limit_s")
            ]
            row = [indent + stage["name"], direction, f"{p['flops'] / 1e9:,.2f}", f"{p['bytes'] / _MIB:,.1f}"]
            row += [f"{1e3 * seconds:,.2f}", *rate, f"{1e3 * p['limit_s']:,.2f}", p["bound_by"], *fractions]
            rows.append([*row, f"{stage['in_step'] * seconds / step:.1%}"])
    return table(rows)

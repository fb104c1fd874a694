"""Writes the results of `benchmarks.compiled` as text."""

from collections.abc import Sequence
from typing import Any

from compilers.chips.registry import CHIPS
from compilers.processes import limited_process
from compilers.reports import compiled_for_chip
from compilers.reports.table import table

_MIB = 2**20


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a point."""
    if "fits" in measured:
        return compiled_for_chip.outcome(measured)
    return f"{measured['temporary_bytes'] / _MIB:,.1f} MiB temporary"


def report(measured: Sequence[dict[str, Any]], target: str) -> str:
    """The points as text: tables, the growth of memory with depth, and the largest buffers at the largest depth.

    Args:
        measured: the points.
        target: what they were compiled for.
    """
    done = [p for p in measured if p["status"] == limited_process.DONE]
    parts = []
    if done:
        parts += compiled_for_chip.report(done, target) if target in CHIPS else [_table(done)]
    for point in measured:
        if point["status"] != limited_process.DONE:
            parts.append(f"{_name(point)}, {point['layers']} layers: {limited_process.failure(point)}")
    read = [p for p in done if "largest" in p]
    for length, reversible in dict.fromkeys((p["length"], p["reversible"]) for p in read):
        own = [p for p in read if (p["length"], p["reversible"]) == (length, reversible)]
        own.sort(key=lambda p: p["layers"])
        growth = [_growth(own[0], own[-1])] if len(own) > 1 else []
        parts.append("\n".join([*growth, *_alive(own[-1])]))
    return "\n\n".join(parts)


def _table(measured: Sequence[dict[str, Any]]) -> str:
    heading = ["length", "layers", "stack", "temporary MiB", "arguments MiB", "outputs MiB"]
    heading += ["matmul GFLOP", "other G", "transcendental G", "accessed GB"]
    ran = any("step_s" in p for p in measured)
    rows = [heading + ["step s", "run MiB"] * ran]
    for p in measured:
        row = [f"{p['length']:,}", str(p["layers"]), compiled_for_chip.stack(p)]
        row += [f"{p[name] / _MIB:,.1f}" for name in ("temporary_bytes", "argument_bytes", "output_bytes")]
        counted = ("matmul_flops", "elementwise_operations", "transcendentals", "bytes_accessed")
        row += [f"{p[name] / 1e9:,.2f}" for name in counted]
        rows.append(row + ([f"{p['step_s']:.3f}", f"{p['run_mib']:,.0f}"] if ran else []))
    return table(rows)


def _growth(first: dict[str, Any], last: dict[str, Any]) -> str:
    ratio = last["temporary_bytes"] / first["temporary_bytes"]
    each = (last["temporary_bytes"] - first["temporary_bytes"]) / (last["layers"] - first["layers"]) / _MIB
    saved_mib = last["kept_buckets_mib"] / last["layers"]
    return (
        f"{_name(last)}: {last['layers']} layers need {ratio:.2f} times the temporary memory of {first['layers']}:"
        f" {each:,.2f} MiB a layer, of which saved buckets are {saved_mib:.2f}"
    )


def _alive(point: dict[str, Any]) -> list[str]:
    lines = [f"{_name(point)}, {point['layers']} layers: alive at the peak"]
    for kind in point["largest"]:
        size = f"{kind['bytes'] / _MIB:10,.1f} MiB in {kind['number']} buffers"
        line = f"{size} {kind['shape']} made by {kind['opcode']} {kind['name']}".rstrip()
        padding = kind.get("padding_bytes", 0)
        lines.append(f"{line}; {padding / _MIB:,.1f} MiB of it padding" if padding > 0.01 * kind["bytes"] else line)
    return lines


def _name(point: dict[str, Any]) -> str:
    return f"length {point['length']:,}, {compiled_for_chip.stack(point)}"

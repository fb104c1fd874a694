"""Writes what programs need on a chip as text: a table, the largest floors, and what a compiler refused."""

from collections.abc import Sequence
from typing import Any

from compilers.chips.registry import CHIPS
from compilers.reports.table import table

_MIB = 2**20
_MEMORY = ("temporary", "argument", "output", "aliased", "total")


def outcome(point: dict[str, Any]) -> str:
    """Says whether a program fits, and the time that it takes at least."""
    if point.get("waited_s"):
        return f"{_outcome(point)}; waited {point['waited_s']:.0f} s for another process that compiled"
    return _outcome(point)


def _outcome(point: dict[str, Any]) -> str:
    if "needed_bytes" in point:
        kind = {"in_all": "in all", "temporary": "temporary memory"}[point["needed_kind"]]
        needed, available = point["needed_bytes"] / _MIB, point["available_bytes"] / _MIB
        return f"does not fit: {needed:,.0f} MiB {kind} of {available:,.0f} by the compiler, which refused"
    if "refusal" in point:
        return f"does not fit {point['memory_bytes'] / _MIB:,.0f} MiB; refused by the compiler"
    said = "fits" if point["fits"] else "does not fit"
    said += f": {point['total_bytes'] / _MIB:,.0f} MiB of {point['memory_bytes'] / _MIB:,.0f}"
    return f"{said}; at least {1e3 * point['floor_s']:,.1f} ms"


def report(points: Sequence[dict[str, Any]], target: str) -> list[str]:
    """The points as text, without what is alive at the peak.

    Args:
        points: that are done, at least one.
        target: the chip.
    """
    chip = CHIPS[target]
    compiled = [p for p in points if "floor_s" in p]
    parts = [table(_rows(compiled))] if compiled else []
    launched = "kernels" if chip.kind == "GPU" else "instructions"
    peaks = ", ".join(f"{peak / 1e12:g} TFLOP/s {dtype}" for dtype, peak in chip.peaks.items())
    reserved = f" without {chip.reserved_bytes / _MIB:,.0f} assumed to be reserved" if chip.reserved_bytes else ""
    said_versions = ", ".join(f"{package} {version}" for package, version in points[0].get("versions", {}).items())
    parts.append(
        f"{chip.label}, {chip.usable_bytes / _MIB:,.0f} MiB{reserved}; by {said_versions}; launches are {launched}, "
        f"with loops as often as they iterate. Floor: each takes at least the time of its products or of its bytes at "
        f"{peaks}, {chip.bandwidth / 1e12:g} TB/s, and at least {1e6 * chip.least_launch_s:g} us ({chip.source})."
    )
    for point in points:
        parts.append("\n".join([f"{_name(point)}: {outcome(point)}", *_details(point)]))
    return parts


def _rows(points: Sequence[dict[str, Any]]) -> list[list[str]]:
    heading = ["length", "layers", "stack", "lower s", "compile s", "program MB"]
    rows = [heading + [f"{kind} MiB" for kind in _MEMORY] + ["launches", "TFLOP", "GB", "floor ms"]]
    for p in points:
        row = [f"{p['length']:,}", str(p["layers"]), stack(p), f"{p['lower_s']:.0f}", f"{p['compile_s']:.0f}"]
        row += [f"{p['program_bytes'] / 1e6:.1f}", *(f"{p[f'{kind}_bytes'] / _MIB:,.1f}" for kind in _MEMORY)]
        row += [f"{p['launches']:,}", f"{p['matmul_flops'] / 1e12:,.2f}", f"{p['bytes_accessed'] / 1e9:,.1f}"]
        rows.append([*row, f"{1e3 * p['floor_s']:,.1f}"])
    return rows


def _details(point: dict[str, Any]) -> list[str]:
    lines = [point["refusal"].strip()] if "refusal" in point else []
    lines += [
        f"{1e3 * kind['floor_s']:10,.2f} ms at least in {kind['launches']:,} launches of {kind['kind']}: "
        f"{kind['matmul_flops'] / 1e12:,.2f} TFLOP, {kind['bytes'] / 1e9:,.1f} GB"
        for kind in point.get("kinds", ())
    ]
    if point.get("without_peak"):
        lines.append(f"products of {', '.join(point['without_peak'])} have no peak and count by their bytes alone")
    if "estimated_cycles" in point:
        lines.append(f"{point['estimated_cycles'] / 1e6:10,.2f} million cycles by the estimate of the compiler")
    if point.get("unknown_loops"):
        lines.append(f"{point['unknown_loops']} loops counted as one iteration, because their trip count is unknown")
    return lines


def _name(point: dict[str, Any]) -> str:
    return f"length {point['length']:,}, {point['layers']} layers, {stack(point)}"


def stack(point: dict[str, Any]) -> str:
    """The kind of the stack of a point."""
    return "reversible" if point["reversible"] else "plain"

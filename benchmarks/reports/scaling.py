"""Writes the results of `benchmarks.scaling` as text."""

from collections.abc import Iterable, Sequence
from typing import Any

from compilers.processes.limited_process import failure
from compilers.reports.table import table

_MISSING = "-"


def outcome(measured: dict[str, Any]) -> str:
    """Says what was measured of a point."""
    above = measured["peak_mib"] - measured["base_mib"]
    return f"{measured['tokens_per_s']:,.0f} tokens/s, {above:,.0f} MiB above base"


def report(summary: dict[str, Any], layers: int, depth_length: int) -> str:
    """Writes all tables.

    Args:
        summary: of `benchmarks.reports.summary.summarize`.
        layers: the depth at which lengths were compared.
        depth_length: the length at which depths were compared.
    """
    points = summary["points"]
    over_length = [p for p in points if p["layers"] == layers]
    over_depth = [p for p in points if p["length"] == depth_length]
    parts = [f"Over length, {layers} layers: medians", _points(over_length)]
    compared = [r for r in summary["ratios"] if r["layers"] == layers]
    if compared:
        parts += ["Ours divided by the best of the others: speed (more is better), memory (less is better)"]
        parts += [_ratios(compared)]
    if len({p["layers"] for p in over_depth}) > 1:
        parts += [f"Over depth, length {depth_length:,}: MiB above base without gradients and saved buckets"]
        parts += [_depths(over_depth)]
    parts += [crossover_line(c) for c in summary["crossovers"]]
    if not summary["crossovers"]:
        parts += ["Crossover with exact attention: not measured (it needs both at two lengths or more)."]
    return "\n\n".join(parts)


def crossover_line(found: dict[str, Any]) -> str:
    """A sentence about the length from which a subject is faster than exact attention."""
    who = f"{found['subject']} against {found['exact']}, {found['layers']} layers"
    if found["length"] is None:
        return f"No crossover: {who}: not faster at {found['longest']:,} tokens, the longest that both did."
    if found["length"] == found["shortest"]:
        return f"No crossover in the range: {who}: faster from {found['shortest']:,} tokens on, the shortest measured."
    return f"Crossover: {who}: faster from about {found['length']:,.0f} tokens on (interpolated)."


def _points(points: Iterable[dict[str, Any]]) -> str:
    rows = [["length", "subject", "tokens/s", "min", "max", "us/token", "MiB above base", "rounds", ""]]
    for p in points:
        numbers = [_MISSING] * 5
        if p["rounds"]:
            numbers = [f"{p['tokens_per_s'][k]:,.0f}" for k in ("median", "min", "max")]
            numbers += [f"{p[quantity]['median']:,.0f}" for quantity in ("us_per_token", "above_base_mib")]
        failed = failure(p)[:100] if "status" in p else ""
        rows.append([f"{p['length']:,}", p["subject"], *numbers, str(p["rounds"]), failed])
    return table(rows)


def _ratios(ratios: Sequence[dict[str, Any]]) -> str:
    rows = [["length", "subject", "others", "precision", "speed", "fastest", "memory", "smallest"]]
    for r in ratios:
        if r["fastest"]:
            memory = _MISSING if r["memory"] is None else f"{r['memory']:.2f}"
            who = [f"{r['length']:,}", r["subject"], r["group"], r["precision"]]
            rows.append([*who, f"{r['speed']:.2f}", r["fastest"], memory, r["smallest"]])
    return table(rows) if len(rows) > 1 else "There are no others."


def _depths(points: Sequence[dict[str, Any]]) -> str:
    depths = sorted({p["layers"] for p in points})
    rows = [["subject", *(f"{d} layers" for d in depths), *(f"{d} / {depths[0]}" for d in depths[1:])]]
    for subject in dict.fromkeys(p["subject"] for p in points):
        needs = {p["layers"]: p["activations_mib"]["median"] for p in points if p["subject"] == subject and p["rounds"]}
        first = needs.get(depths[0], 0.0)
        cells = [f"{needs[d]:,.0f}" if d in needs else _MISSING for d in depths]
        cells += [f"{needs[d] / first:.2f}" if d in needs and first > 0 else _MISSING for d in depths[1:]]
        rows.append([subject, *cells])
    return table(rows)

"""Evaluates the measurements of a sweep: medians, ratios, and crossovers of curves."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.measuring import subjects
from benchmarks.measuring.point_process import DONE

_QUANTITIES: dict[str, Callable[[dict[str, Any]], float]] = {
    "tokens_per_s": lambda m: m["tokens_per_s"],
    "step_s": lambda m: m["step_s"],
    "above_base_mib": lambda m: m["peak_mib"] - m["base_mib"],
    "peak_mib": lambda m: m["peak_mib"],
    "base_mib": lambda m: m["base_mib"],
    # Without the memory that must grow with depth: gradients, 4 bytes a parameter, and saved buckets.
    "activations_mib": lambda m: (
        m["peak_mib"] - m["base_mib"] - 4 * m["parameters"] / 2**20 - m.get("kept_buckets_mib", 0.0)
    ),
}


def summarize(measurements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Evaluates all measurements.

    Args:
        measurements: of a `Results`.

    Returns:
        `points` (see `medians`), `ratios` (see `ratios`) and `crossovers` (see `crossovers`).
    """
    points = medians(measurements)
    return {"points": points, "ratios": ratios(points), "crossovers": crossovers(points)}


def medians(measurements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merges the repetitions of each point.

    Returns:
        One dict for each subject and size, with `subject`, `length`, `layers`, `rounds` (the number of successful
        repetitions), `parameters`, and for each quantity a dict of `median`, `min` and `max`; or with `status` and
        `reason` if no repetition was successful.
    """
    groups: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for m in measurements:
        groups.setdefault((m["layers"], m["length"], m["subject"]), []).append(m)
    points = []
    for (layers, length, subject), group in sorted(groups.items()):
        done = [m for m in group if m["status"] == DONE]
        point: dict[str, Any] = {"subject": subject, "length": length, "layers": layers, "rounds": len(done)}
        if done:
            point["parameters"] = done[0]["parameters"]
            for name, quantity in _QUANTITIES.items():
                values = [quantity(m) for m in done]
                point[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        if len(done) < len(group):
            bad = next(m for m in group if m["status"] != DONE)
            point.update(status=bad["status"], reason=bad["reason"])
        points.append(point)
    return points


def ratios(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compares the reversible LSH model of this package with the best of the others at each size.

    Args:
        points: of `medians`.

    Returns:
        One dict for each point of that model, each `group` of others, `"reformers"` or `"exact"`, and each `precision`
        of the others, the model's own or `"any"`. `fastest` and `smallest` name the best other subject in speed and in
        memory; `speed` and `memory` are the model's tokens a second, and MiB above the base, divided by theirs. None
        if no other was measured.
    """
    done = [(subjects.parse(point["subject"]), point) for point in points if point["rounds"]]
    rows = []
    for own, point in done:
        if own.name != "ours":
            continue
        for group in ("reformers", "exact"):
            for precision in (own.precision, "any"):
                others = [
                    p
                    for s, p in done
                    if _in_group(s, group)
                    and (precision in ("any", s.precision))
                    and (p["length"], p["layers"]) == (point["length"], point["layers"])
                ]
                fastest = max(others, key=lambda p: _median(p, "tokens_per_s"), default=None)
                smallest = min(others, key=lambda p: _median(p, "above_base_mib"), default=None)
                rows.append(
                    {
                        "subject": own.label,
                        "length": point["length"],
                        "layers": point["layers"],
                        "group": group,
                        "precision": precision,
                        "fastest": fastest and fastest["subject"],
                        "speed": fastest and _quotient(point, fastest, "tokens_per_s"),
                        "smallest": smallest and smallest["subject"],
                        "memory": smallest and _quotient(point, smallest, "above_base_mib"),
                    }
                )
    return rows


def crossovers(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Finds the lengths from which the LSH model is faster than models of the same precision with exact attention.

    Args:
        points: of `medians`.

    Returns:
        One dict for each pair measured at the same depth and lengths, with `subject`, `exact`, `layers`, `shortest` and
        `longest` (of the common lengths), and `length`, from which on the LSH model is faster at all measured lengths.
        `length` is interpolated on a logarithmic scale between measured lengths; it is `shortest` if the model is
        faster at all of them, and None if it is not faster at `longest`.
    """
    speeds: dict[tuple[str, int], dict[int, float]] = {}
    for point in points:
        if point["rounds"]:
            curve = speeds.setdefault((point["subject"], point["layers"]), {})
            curve[point["length"]] = _median(point, "tokens_per_s")
    found = []
    for (label, layers), own in speeds.items():
        for (other, other_layers), exact in speeds.items():
            subject, rival = subjects.parse(label), subjects.parse(other)
            same = layers == other_layers and subject.precision == rival.precision
            lengths = sorted(set(own) & set(exact))
            # A depth that was measured at only one length has no curve that could cross another.
            if subject.name == "ours" and rival.exact and same and len(lengths) > 1:
                found.append(
                    {
                        "subject": label,
                        "exact": other,
                        "layers": layers,
                        "shortest": lengths[0],
                        "longest": lengths[-1],
                        "length": crossover(lengths, [own[n] / exact[n] for n in lengths]),
                    }
                )
    return found


def crossover(lengths: Sequence[int], gains: Sequence[float]) -> float | None:
    """Finds the length from which all gains are above one.

    Args:
        lengths: increasing.
        gains: at these lengths, positive.

    Returns:
        The length, interpolated linearly in the logarithms of both; the first length if all gains are above one; None
        if the last is not.

    Example:
        >>> crossover([1024, 4096], [0.5, 2.0])
        2048.0
    """
    below = [index for index, gain in enumerate(gains) if gain <= 1]
    if not below:
        return float(lengths[0])
    last = below[-1]
    if last == len(lengths) - 1:
        return None
    left, right = math.log2(lengths[last]), math.log2(lengths[last + 1])
    low, high = math.log2(gains[last]), math.log2(gains[last + 1])
    return 2 ** (left + (right - left) * -low / (high - low))


def _in_group(subject: subjects.Subject, group: str) -> bool:
    return subject.exact if group == "exact" else subject.peer and not subject.exact


def _median(point: dict[str, Any], quantity: str) -> float:
    return point[quantity]["median"]


def _quotient(point: dict[str, Any], other: dict[str, Any], quantity: str) -> float | None:
    below = _median(other, quantity)
    return _median(point, quantity) / below if below > 0 else None

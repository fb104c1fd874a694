"""Evaluates the measurements of a sweep: medians, ratios, and crossovers of curves."""

import itertools
import math
import operator
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from benchmarks.measuring import subjects
from compilers.processes.limited_process import DONE

Quantities: TypeAlias = dict[str, Callable[[dict[str, Any]], float]]

QUANTITIES: Quantities = {
    **{name: operator.itemgetter(name) for name in ("tokens_per_s", "step_s", "peak_mib", "base_mib")},
    "us_per_token": lambda m: 1e6 / m["tokens_per_s"],
    "above_base_mib": lambda m: m["peak_mib"] - m["base_mib"],
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


def medians(measurements: Iterable[dict[str, Any]], quantities: Quantities = QUANTITIES) -> list[dict[str, Any]]:
    """Merges the repetitions of each point.

    Args:
        measurements: of subjects at sizes.
        quantities: what is computed of each measurement, by name.

    Returns:
        One dict for each subject and size, with `subject`, `length`, `layers`, `rounds` (the number of successful
        repetitions), `parameters` if they were counted, and for each quantity a dict of `median`, `min` and `max`; or
        with `status` and `reason` if no repetition was successful.
    """
    groups: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for m in measurements:
        groups.setdefault((m["layers"], m["length"], m["subject"]), []).append(m)
    points = []
    for (layers, length, subject), group in sorted(groups.items()):
        done = [m for m in group if m["status"] == DONE]
        point: dict[str, Any] = {"subject": subject, "length": length, "layers": layers, "rounds": len(done)}
        if done:
            if "parameters" in done[0]:
                point["parameters"] = done[0]["parameters"]
            for name, quantity in quantities.items():
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
        same_size = [(s, p) for s, p in done if (p["length"], p["layers"]) == (point["length"], point["layers"])]
        for group, precision in itertools.product(("reformers", "exact"), (own.precision, "any")):
            others = [(s, p) for s, p in same_size if (s.exact if group == "exact" else s.name in subjects.REFORMERS)]
            allowed = [p for s, p in others if precision in ("any", s.precision)]
            about = {"subject": own.label, "length": point["length"], "layers": point["layers"]}
            rows.append({**about, "group": group, "precision": precision, **_beside_the_best(point, allowed)})
    return rows


def _beside_the_best(point: dict[str, Any], others: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not others:
        return dict.fromkeys(("fastest", "speed", "smallest", "memory"))
    fastest = max(others, key=lambda p: p["tokens_per_s"]["median"])
    smallest = min(others, key=lambda p: p["above_base_mib"]["median"])
    return {
        "fastest": fastest["subject"],
        "speed": _quotient(point, fastest, "tokens_per_s"),
        "smallest": smallest["subject"],
        "memory": _quotient(point, smallest, "above_base_mib"),
    }


def _quotient(point: dict[str, Any], other: dict[str, Any], quantity: str) -> float | None:
    below = other[quantity]["median"]
    return point[quantity]["median"] / below if below > 0 else None


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
            curve[point["length"]] = point["tokens_per_s"]["median"]
    found = []
    for ((label, layers), own), ((other, other_layers), exact) in itertools.product(speeds.items(), repeat=2):
        subject, rival = subjects.parse(label), subjects.parse(other)
        same = layers == other_layers and subject.precision == rival.precision
        lengths = sorted(own.keys() & exact.keys())
        # A depth that was measured at only one length has no curve that could cross another.
        if subject.name == "ours" and rival.exact and same and len(lengths) > 1:
            about = {"subject": label, "exact": other, "layers": layers, "shortest": lengths[0], "longest": lengths[-1]}
            found.append({**about, "length": crossover(lengths, [own[n] / exact[n] for n in lengths])})
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

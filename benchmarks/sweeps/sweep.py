"""The points of a sweep, their sequence, and the loop over them."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from benchmarks.measuring import point_process
from benchmarks.measuring.subjects import Subject
from trainer.training.progress import duration

SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Point:
    """One process to run.

    Attributes:
        subject: the measured subject.
        length: tokens of a sequence.
        layers: depth.
        round: the number of the repetition.
    """

    subject: Subject
    length: int
    layers: int
    round: int

    def identity(self) -> dict[str, Any]:
        """The fields that identify a measurement."""
        return {
            "subject": self.subject.label,
            "length": self.length,
            "layers": self.layers,
            "round": self.round,
        }

    def __str__(self) -> str:
        return f"{self.subject.label}, length {self.length:,}, depth {self.layers}, round {self.round + 1}"


class Store(Protocol):
    """Storage of measurements: `benchmarks.sweeps.results.Results`."""

    def find(self, point: Point) -> dict[str, Any] | None:
        """The measurement of a point, or None."""

    def add(self, point: Point, measured: dict[str, Any]) -> dict[str, Any]:
        """Stores the measurement of a point."""


def plan(subjects: Sequence[Subject], sizes: Iterable[tuple[int, int]], rounds: int) -> list[Point]:
    """Lists all points: in each repetition every size, and at each size all subjects one after another.

    So a machine that gets slower affects all subjects alike. Every other repetition takes the subjects in reverse.

    Args:
        subjects: the subjects to compare.
        sizes: pairs of length and layers, smaller ones first.
        rounds: repetitions.
    """
    points = []
    for number in range(rounds):
        sequence = subjects if number % 2 == 0 else subjects[::-1]
        points += [Point(subject, *size, number) for size in dict.fromkeys(sizes) for subject in sequence]
    return points


def run(
    points: Sequence[Point],
    store: Store,
    measure: Callable[[Point], dict[str, Any]],
    work: Callable[[Point], float],
    retry_failed: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Measures the missing points, one at a time, and reports the progress.

    A subject that took too long or too much memory at one size is not tried again at that size, nor at sizes that are
    at least as long and as deep: such points are recorded as skipped, with the reason.

    Args:
        points: the points in sequence.
        store: earlier measurements, to which new ones are added.
        measure: runs one point.
        work: an estimate of a point's work, in any unit.
        retry_failed: whether failed points are tried again.
        say: takes a line of progress.
    """
    rates: dict[str, float] = {}  # Seconds per unit of work at the last point of each subject.
    limits: list[tuple[Point, str]] = []
    for index, point in enumerate(points):
        known = store.find(point)
        if known is None or (retry_failed and known["status"] != point_process.DONE):
            limit = next((reason for other, reason in limits if _as_hard(point, other)), None)
            measured = {"status": SKIPPED, "reason": limit, "seconds": 0.0} if limit else measure(point)
            known = store.add(point, measured)
            if known["seconds"]:
                rates[point.subject.label] = known["seconds"] / work(point)
            say(f"point {index + 1} of {len(points)}: {point}: {_outcome(known)}; {_left(points, index, rates, work)}")
        elif known["seconds"]:
            rates[point.subject.label] = known["seconds"] / work(point)
        if known["status"] in (point_process.TIMEOUT, point_process.MEMORY):
            limits.append((point, f"{known['status']} at {point}"))


def _as_hard(point: Point, other: Point) -> bool:
    return point.subject == other.subject and point.length >= other.length and point.layers >= other.layers


def _outcome(measured: dict[str, Any]) -> str:
    if measured["status"] != point_process.DONE:
        reason = measured["reason"].strip().splitlines()
        return f"{measured['status']} ({reason[-1] if reason else ''})"
    above = measured["peak_mib"] - measured["base_mib"]
    return f"{measured['tokens_per_s']:,.0f} tokens/s, {above:,.0f} MiB above base"


def _left(points: Sequence[Point], index: int, rates: dict[str, float], work: Callable[[Point], float]) -> str:
    """An estimate of the time of the points after `index`; subjects without a point so far get the mean rate."""
    if not rates:
        return "-:-- left"
    mean = sum(rates.values()) / len(rates)
    seconds = sum(work(point) * rates.get(point.subject.label, mean) for point in points[index + 1 :])
    return f"{duration(seconds)} left"

"""The points of a sweep, their order, and the loop over them."""

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
        subject: what is measured.
        length: tokens of a sequence.
        layers: depth.
        round: which of the repetitions.
    """

    subject: Subject
    length: int
    layers: int
    round: int

    def identity(self) -> dict[str, Any]:
        """The fields by which a measurement is found again."""
        return {
            "subject": self.subject.label,
            "length": self.length,
            "layers": self.layers,
            "round": self.round,
        }

    def __str__(self) -> str:
        return f"{self.subject.label}, length {self.length:,}, depth {self.layers}, round {self.round + 1}"


class Store(Protocol):
    """Where measurements are kept: `benchmarks.sweeps.results.Results`."""

    def find(self, point: Point) -> dict[str, Any] | None:
        """The measurement of a point, or None."""

    def add(self, point: Point, measured: dict[str, Any]) -> dict[str, Any]:
        """Keeps what a point gave."""


def plan(subjects: Sequence[Subject], sizes: Iterable[tuple[int, int]], rounds: int) -> list[Point]:
    """Lists all points: in each round every size, and at each size all subjects one after another.

    So a machine that gets slower does so for all subjects alike. Every other round takes the subjects in reverse.

    Args:
        subjects: what is compared.
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
    """Measures the points that are missing, one at a time, and says how it goes.

    A subject that took too long or too much memory at one size is not tried at that size again, nor at one that is as
    long and as deep or more: such points are recorded as skipped, with the reason.

    Args:
        points: in this order.
        store: what was measured before, and where it goes.
        measure: runs one point.
        work: about how much of it a point is, in any unit.
        retry_failed: whether points that were not done are tried again.
        say: takes a line of progress.
    """
    rates: dict[str, float] = {}  # Seconds a unit of work, of the last point of a subject.
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
    """About what the points after `index` take; of subjects not yet seen, as the mean of those seen."""
    if not rates:
        return "-:-- left"
    mean = sum(rates.values()) / len(rates)
    seconds = sum(work(point) * rates.get(point.subject.label, mean) for point in points[index + 1 :])
    return f"{duration(seconds)} left"

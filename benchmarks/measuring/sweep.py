"""The points of a comparison of subjects over sizes: their sequence, and those that need not be tried."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from benchmarks.measuring import points
from benchmarks.measuring.results import Results
from compilers.processes import limited_process

SKIPPED = "skipped"


class Labelled(Protocol):
    """A subject of a comparison."""

    @property
    def label(self) -> str:
        """Its name."""


_Subject = TypeVar("_Subject", bound=Labelled)


def plan(
    subjects: Sequence[_Subject], sizes: Iterable[tuple[int, int]], rounds: int
) -> list[tuple[_Subject, dict[str, Any]]]:
    """Lists all points: in each repetition every size, and at each size all subjects one after another.

    So a machine that gets slower affects all subjects alike. Every other repetition takes the subjects in reverse.

    Args:
        subjects: the subjects to compare.
        sizes: pairs of length and layers, smaller ones first.
        rounds: repetitions.

    Returns:
        The subject of each point, and what tells it from others: `subject`, `length`, `layers` and `round`.
    """
    planned = []
    for number in range(rounds):
        for length, layers in dict.fromkeys(sizes):
            for subject in subjects if number % 2 == 0 else subjects[::-1]:
                identity = {"subject": subject.label, "length": length, "layers": layers, "round": number}
                planned.append((subject, identity))
    return planned


def skip(identity: Mapping[str, Any], planned: Iterable[Mapping[str, Any]], results: Results) -> dict[str, Any] | None:
    """The result of a point that need not be tried, or None.

    A subject that took too long or too much memory at one size is not tried again at that size, nor at sizes that are
    at least as long and as deep.

    Args:
        identity: of the point, as in `plan`.
        planned: the identities of all points in sequence; only results of points before this one count.
        results: the results so far.
    """
    for other in itertools.takewhile(lambda other: other != identity, planned):
        found = results.find(other)
        gave_up = found is not None and found["status"] in (limited_process.TIMEOUT, limited_process.MEMORY)
        as_hard = all(identity[size] >= other[size] for size in ("length", "layers"))
        if found is not None and gave_up and as_hard and other["subject"] == identity["subject"]:
            return {"status": SKIPPED, "reason": f"{found['status']} at {points.name(other)}", "seconds": 0.0}
    return None

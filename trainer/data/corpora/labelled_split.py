"""Chooses labelled texts to validate on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

_Group = tuple[list[int], Counter[str]]  # Rows with equal texts, and how many have each label.


def choose(keys: Sequence[bytes], labels: Sequence[str], fraction: float) -> list[int]:
    """Chooses a fraction of each label's rows, always the same ones.

    Rows with equal keys stay together, whatever their labels, so that no text is in both parts. They are taken in the
    sequence of their keys, without those by which a label would exceed its `fraction`, or one row if that is more. A
    label of which none fits has its smallest group taken, if it has another.

    Args:
        keys: A hash of each row's texts.
        labels: The label of each row.
        fraction: Between 0 and 1.

    Returns:
        Indices of the chosen rows, ascending.

    Example:
        >>> choose([b"b", b"a", b"a", b"c"], ["yes", "yes", "yes", "yes"], 0.5)
        [1, 2]
    """
    rows_by_key: dict[bytes, list[int]] = {}
    for row, key in enumerate(keys):
        rows_by_key.setdefault(key, []).append(row)
    groups = [(rows, Counter(labels[row] for row in rows)) for _, rows in sorted(rows_by_key.items())]
    totals, taken = Counter(labels), Counter[str]()
    chosen: list[int] = []

    def take(group: _Group, limits: Mapping[str, int]) -> bool:
        rows, counts = group
        fits = all(taken[name] + count <= limits[name] for name, count in counts.items())
        if fits:
            taken.update(counts)
            chosen.extend(rows)
        return fits

    wanted = {name: min(max(1, round(fraction * total)), total - 1) for name, total in totals.items()}
    for group in groups:
        take(group, wanted)
    by_label: dict[str, list[_Group]] = {}
    for group in groups:
        for name in group[1]:
            by_label.setdefault(name, []).append(group)
    all_but_one = {name: total - 1 for name, total in totals.items()}
    for name in sorted(name for name in totals if not taken[name]):
        if not taken[name]:  # By a group of a label before.
            any(take(group, all_but_one) for group in sorted(by_label[name], key=lambda group: len(group[0])))
    return sorted(chosen)

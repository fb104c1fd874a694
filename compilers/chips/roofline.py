"""The time that a compiled program takes at least on a chip (Williams et al., 2009).

A launch takes at least the time of its matrix products at the peak of their dtype, that of the bytes it moves at the
bandwidth of the main memory, and the least time of a launch, whichever is longest; launches follow one another. Those
that are started and awaited later may run beside others: of them all that is sure is that their bytes share the
bandwidth. Nothing is said about how near a chip comes to that.
"""

import collections
from typing import Any

from compilers.chips.registry import Chip
from compilers.hlo.launches import Launch, Launches

_SUMS = ("launches", "bytes", "matmul_flops", "floor_s")


def seconds(launch: Launch, chip: Chip) -> float:
    """The least time of one execution of a launch."""
    matmul = launch.operations.matmul
    computing = sum(number / chip.peaks[dtype] for dtype, number in matmul.items() if dtype in chip.peaks)
    return max(computing, launch.bytes / chip.bandwidth, chip.least_launch_s)


def floor(launches: Launches, chip: Chip, most: int = 8) -> dict[str, Any]:
    """The least time of a program.

    Args:
        launches: of the program.
        chip: the chip.
        most: how many kinds of launches.

    Returns:
        `floor_s`; `instructions`, in the program, and `launches`, how often they are executed; `matmul_flops_by_dtype`;
        `without_peak`, those dtypes whose products count by their bytes alone, as the chip has no peak of them; and
        `kinds`, the kinds of launches with the largest floors, each with `kind`, `launches`, `bytes`,
        `matmul_flops` and `floor_s`.
    """
    kinds: dict[str, dict[str, float]] = {}
    one_after_another = 0.0
    by_dtype: collections.Counter[str] = collections.Counter()
    for launch in launches.all:
        work = launch.operations.times(launch.times)
        by_dtype.update(work.matmul)
        sums = kinds.setdefault(launch.kind, dict.fromkeys(_SUMS, 0))
        sums["launches"] += launch.times
        sums["bytes"] += launch.times * launch.bytes
        sums["matmul_flops"] += sum(work.matmul.values())
        sums["floor_s"] += launch.times * seconds(launch, chip)
        one_after_another += 0 if launch.in_background else launch.times * seconds(launch, chip)
    largest = sorted(kinds.items(), key=lambda kind: -kind[1]["floor_s"])
    return {
        "floor_s": max(one_after_another, sum(sums["bytes"] for sums in kinds.values()) / chip.bandwidth),
        "instructions": len(launches.all),
        "launches": sum(sums["launches"] for sums in kinds.values()),
        "matmul_flops_by_dtype": dict(by_dtype),
        "without_peak": sorted({*by_dtype} - {*chip.peaks}),
        "kinds": [{"kind": kind, **sums} for kind, sums in largest[:most]],
    }

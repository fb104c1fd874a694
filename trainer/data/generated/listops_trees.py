"""Random trees of ListOps, many at a time: all nodes of one depth are one array.

A tree begins at depth 1. Above the greatest depth a node is an operator with probability 1/4, else a digit; at the
greatest depth it is a digit. The nodes of a depth stand side by side, tree by tree, and the arguments of an operator
follow one another at the next depth, so that a group of them is a slice.

Shape letters: n nodes of a depth, n' nodes of the next, N trees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.data.generated.listops_text import END, MIN, SM

_OPERATOR_PROBABILITY = 0.25


class Level(NamedTuple):
    """The nodes of one depth.

    Attributes:
        symbols: `[n]` int64, ids of digits and operators.
        arguments: `[n]` int64, number of arguments, which is 0 for a digit.
    """

    symbols: np.ndarray
    arguments: np.ndarray

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """First arguments of the operators at the next depth, and the first ones after them: two arrays."""
        counts = self.arguments[self.arguments > 0]
        ends = np.cumsum(counts)
        return ends - counts, ends


def draw(stream: np.random.RandomState, count: int, max_depth: int, max_arguments: int) -> list[Level]:
    """Draws trees, most of which are a single digit.

    Args:
        stream: Where the randomness comes from.
        count: Number of trees, N.
        max_depth: Greatest depth.
        max_arguments: Operators have 2 to this many arguments.

    Returns:
        The levels from the roots on; the last has digits only.
    """
    levels = []
    for depth in range(1, max_depth + 1):
        chance = _OPERATOR_PROBABILITY if depth < max_depth else 0.0
        is_operator = stream.random_sample(count) < chance
        digits = stream.randint(0, 10, size=count, dtype=np.int64)
        operators = stream.randint(MIN, SM + 1, size=count, dtype=np.int64)
        arguments = stream.randint(2, max_arguments + 1, size=count, dtype=np.int64) * is_operator
        levels.append(Level(np.where(is_operator, operators, digits), arguments))
        count = int(arguments.sum())
        if not count:
            break
    return levels


def lengths(levels: list[Level]) -> list[np.ndarray]:
    """Counts the tokens of each subtree: one of a digit; of an operator itself, its arguments and the end.

    Args:
        levels: Levels of trees.

    Returns:
        `[n]` int64 of each level.
    """
    found = [np.ones_like(levels[-1].symbols)]
    for level in levels[-2::-1]:
        sums = np.ones_like(level.symbols)
        sums[level.arguments > 0] = 2 + np.add.reduceat(found[0], level.groups()[0])
        found.insert(0, sums)
    return found


def select(levels: list[Level], chosen: np.ndarray) -> list[Level]:
    """Takes some of the trees.

    Args:
        levels: Levels of N trees.
        chosen: `[N]` bool, which trees to take.

    Returns:
        The levels of these trees.
    """
    selected = []
    for level in levels:
        selected.append(Level(level.symbols[chosen], level.arguments[chosen]))
        chosen = np.repeat(chosen, level.arguments)
        if not chosen.any():
            break
    return selected


def evaluate(levels: list[Level]) -> np.ndarray:
    """Computes the values of trees from the leaves up.

    Args:
        levels: Levels of N trees.

    Returns:
        `[N]` int64 from 0 to 9.
    """
    values = levels[-1].symbols
    for level in levels[-2::-1]:
        values = _apply(level, values)
    return values


def _apply(level: Level, below: np.ndarray) -> np.ndarray:
    """The values `[n]` of the nodes of a level, from those `[n']` of the next."""
    starts, ends = level.groups()
    counts = ends - starts
    first_keys = np.repeat(10 * np.arange(counts.size), counts)
    ranked = np.sort(first_keys + below) - first_keys  # each group for itself
    lower, upper = ranked[starts + (counts - 1) // 2], ranked[starts + counts // 2]
    results = np.stack([ranked[starts], ranked[ends - 1], (lower + upper) // 2, np.add.reduceat(below, starts) % 10])
    is_operator = level.arguments > 0
    values = level.symbols.copy()
    values[is_operator] = results[level.symbols[is_operator] - MIN, np.arange(counts.size)]
    return values


def flatten(levels: list[Level]) -> tuple[np.ndarray, np.ndarray]:
    """Writes trees as sequences: an operator, its arguments, the end.

    Args:
        levels: Levels of N trees.

    Returns:
        ids: `[T]` uint8, the tokens of all trees, one after another.
        offsets: `[N + 1]` int64, where each begins, and T.
    """
    sizes = lengths(levels)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[0])])
    ids = np.full(offsets[-1], END, np.uint8)  # where no node stands, an operator ends
    positions = offsets[:-1]
    for depth, level in enumerate(levels):
        ids[positions] = level.symbols
        if depth + 1 < len(levels):
            starts, _ = level.groups()
            before = np.cumsum(sizes[depth + 1]) - sizes[depth + 1]
            # A first argument follows its operator; the others follow the tokens of those before them.
            shifts = (positions + 1)[level.arguments > 0] - before[starts]
            positions = before + np.repeat(shifts, level.arguments[level.arguments > 0])
    return ids, offsets

"""ListOps: nested lists of digits under MIN, MAX, MED and SM, whose value from 0 to 9 is the label.

The task is from Nangia and Bowman, "ListOps: A Diagnostic Dataset for Latent Tree Learning" (2018). Distribution and
sizes are those of the Long Range Arena (Tay et al., 2021, appendix A.1): MED is the median, rounded down between two
digits; SM is the sum modulo 10; parentheses are left out.

Shape letters: N examples, L length of the padded sequences, T tokens of all trees of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainer.data.generated import listops_trees, streams

# Trees that are drawn at a time, and batches without a new tree after which the rules are taken to allow no more.
_BATCH = 4096
_FRUITLESS_BATCHES = 100
# Tenths of all trees that belong to each part, by their checksums.
_TENTHS = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}


class ListOps(NamedTuple):
    """Examples of ListOps.

    Attributes:
        ids: `[N, L]` uint8, see `listops_text.TOKENS`; those from `lengths` on are 0 and mean nothing.
        lengths: `[N]` int32, number of tokens.
        labels: `[N]` int32, values from 0 to 9.
    """

    ids: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray


def listops(
    count: int,
    min_length: int = 500,
    max_length: int = 2000,
    max_depth: int = 10,
    max_arguments: int = 10,
    seed: int = 0,
    part: str = "train",
) -> ListOps:
    """Makes different examples of ListOps.

    Trees are drawn as in `listops_trees` and taken if they have more than `min_length` and fewer than `max_length`
    tokens. A checksum of its tokens decides which part a tree may belong to, train in eight cases of ten, so the parts
    have no tree in common, whatever their counts and seeds. Example n depends on the other arguments and n, not on
    `count`.

    Args:
        count: Number of examples, N.
        min_length: Trees have more tokens; their operators and ends count.
        max_length: Trees have fewer tokens; L.
        max_depth: Greatest depth of a node; the root has depth 1.
        max_arguments: Operators have 2 to this many arguments.
        seed: Seed of the data set.
        part: `"train"`, `"validation"` or `"test"`.

    Returns:
        The examples. The defaults are those of the Long Range Arena, which has 96,000, 2,000 and 2,000.

    Raises:
        ValueError: If an argument is out of its range, or there are not so many different trees (none is found in
            400,000 that are drawn).

    Examples:
        >>> from trainer.data.generated.listops_text import to_text
        >>> ids, lengths, labels = listops(count=2, min_length=6, max_length=12, max_depth=3, max_arguments=4)
        >>> [to_text(row[:length]) for row, length in zip(ids, lengths)]
        ['[MED 2 1 3 [MED 5 8 ] ]', '[MED 2 [SM 8 4 5 7 ] ]']
        >>> labels.tolist()
        [2, 3]
    """
    streams.check_integer("count", count, least=0)
    streams.check_integer("min_length", min_length, least=0)
    streams.check_integer("max_length", max_length, least=min_length + 2)
    streams.check_integer("max_depth", max_depth, least=1)
    streams.check_integer("max_arguments", max_arguments, least=2)
    streams.check_part(part)
    examples = ListOps(np.zeros((count, max_length), np.uint8), np.zeros(count, np.int32), np.zeros(count, np.int32))
    found = 0
    trees = _different_trees(min_length, max_length, max_depth, max_arguments, seed, part)
    for found, (ids, value) in enumerate(itertools.islice(trees, count), start=1):
        examples.ids[found - 1, : ids.size] = ids
        examples.lengths[found - 1] = ids.size
        examples.labels[found - 1] = value
    if found < count:
        raise ValueError(
            "`count` must be at most the number of different trees that the other arguments allow. Received: "
            f"count={count}, min_length={min_length}, max_length={max_length}, max_depth={max_depth}, "
            f"max_arguments={max_arguments}, part={part!r}; found {found}"
        )
    return examples


def _different_trees(
    min_length: int, max_length: int, max_depth: int, max_arguments: int, seed: int, part: str
) -> Iterator[tuple[np.ndarray, int]]:
    """Draws trees of one part, each once: ids and value. Ends where new ones no longer turn up."""
    first, end = _TENTHS[part]
    seen: set[int] = set()
    latest = 0  # batch with a new tree
    for batch in itertools.count():
        if batch > latest + _FRUITLESS_BATCHES:
            return
        stream = streams.make_stream("listops", seed, part, batch)
        levels = listops_trees.draw(stream, _BATCH, max_depth, max_arguments)
        sizes = listops_trees.lengths(levels)[0]
        levels = listops_trees.select(levels, (sizes > min_length) & (sizes < max_length))
        if not levels[0].symbols.size:
            continue
        ids, offsets = listops_trees.flatten(levels)
        values = listops_trees.evaluate(levels)
        for tree, checksum in enumerate(_checksums(ids, offsets).tolist()):
            if first <= checksum % 10 < end and checksum not in seen:
                seen.add(checksum)
                latest = batch
                yield ids[offsets[tree] : offsets[tree + 1]], values[tree]


def _checksums(ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """64 bits of each of the N sequences, uint64: the sum of its tokens, each mixed with its position."""
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    positions = np.arange(ids.size) - starts
    return np.add.reduceat(streams.mix((positions * 16 + ids).astype(np.uint64)), offsets[:-1])

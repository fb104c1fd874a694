"""Rules that choose the validation documents: `config.data.validation_rule`.

- `documents_and_ends`, the rule of new runs: some small documents as a whole, and the ends of large ones, each with
  `validation_fraction` of the bytes of all small or large ones. So both parts have documents of every size, whether
  there is one document, or a few large and many small ones.
- `whole_documents`, the rule of runs that are older than the choice: whole documents that fit into
  `validation_fraction` of all bytes, see `choose_validation`; the end of the document if there is only one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.data.corpora.corpus import Corpus, choose_validation, sorted_by_hash
from trainer.data.corpora.found_files import shown
from trainer.data.documents import Documents

DOCUMENTS_AND_ENDS = "documents_and_ends"
WHOLE_DOCUMENTS = "whole_documents"
RULES = (DOCUMENTS_AND_ENDS, WHOLE_DOCUMENTS)

_SHORTEST_END = 4096  # Bytes. The first tokens of an end lack context, so few long ends say more than many short ones.
_LINE_REACH = 4096  # Bytes before a cut that are searched for the start of a line.


def resolve_rule(data: Mapping[str, Any]) -> str:
    """Returns the rule in `config.data`, by default that of new runs."""
    return data["validation_rule"] or DOCUMENTS_AND_ENDS


def split(
    name: str, names: Sequence[str], documents: Sequence[bytes], data: Mapping[str, Any], notes: tuple[str, ...] = ()
) -> Corpus:
    """Makes a corpus of documents, with `validation_fraction` of them to validate on.

    Args:
        name: name of the corpus.
        names: a name for each document.
        documents: none of them empty.
        data: `config.data`, with `validation_rule` and `validation_fraction`.
        notes: notes of the corpus so far.

    Returns:
        The corpus; the documents of both parts are in the order of `documents`.
    """
    sizes, fraction = [len(document) for document in documents], data["validation_fraction"]
    if resolve_rule(data) == DOCUMENTS_AND_ENDS:
        ends = choose_ends(sizes, sorted_by_hash(names), fraction)
    elif len(documents) == 1:
        head, tail = cut_tail(documents[0], fraction)
        return Corpus(name, Documents([head] if head else []), Documents([tail]), notes)
    else:
        ends = {index: sizes[index] for index in choose_validation(names, sizes, fraction)}
    train, validation = [], []
    for index, document in enumerate(documents):
        end = ends.get(index, 0)
        head, tail = _cut_end(document, end) if 0 < end < len(document) else (document[end:], document[:end])
        train += [head] if head else []
        validation += [tail] if tail else []
    whole = [names[index] for index in sorted(ends) if ends[index] == sizes[index]]
    cut = [names[index] for index in sorted(ends) if ends[index] < sizes[index]]
    return Corpus(name, Documents(train), Documents(validation), (*notes, _note(whole, cut)))


def choose_ends(sizes: Sequence[int], sequence: Sequence[int], fraction: float) -> dict[int, int]:
    """Chooses how many bytes at the end of each document are for validation.

    With f for the fraction, the small documents are those up to the largest size s for which s is at most f (1 - f) of
    the bytes of all documents up to s: one of them more or less makes little difference. Small documents are taken as a
    whole, in `sequence`, until they have f of the bytes of all small ones. Of each large document the last f of its
    bytes are taken, but at least 4,096 (at most half of it), in `sequence` until there are f of the bytes of all large
    ones.

    So adding a document changes little in the others, and nothing in large ones whose ends are longer than 4,096.

    Args:
        sizes: bytes of each document, at least 1.
        sequence: all indices, as documents are to be considered one after another.
        fraction: f, between 0 and 1.

    Returns:
        Number of bytes by index of a document; its size if it is taken as a whole. At least one byte of all is not
        taken; if there are very few bytes, none may be taken.
    """
    largest = _largest_small_size(sizes, fraction)
    small = [index for index in sequence if sizes[index] <= largest]
    large = [index for index in sequence if sizes[index] > largest]
    chosen: dict[int, int] = {}
    left = fraction * sum(sizes[index] for index in small)
    for index in small:
        if left <= 0:
            break
        chosen[index] = sizes[index]
        left -= sizes[index]
    left = fraction * sum(sizes[index] for index in large)
    for index in large:
        size = sizes[index]
        end = min(max(fraction * size, min(_SHORTEST_END, size // 2)), left)
        left -= end
        count = min(round(end), size - 1)
        if count > 0:
            chosen[index] = count
    return chosen


def cut_tail(document: bytes, fraction: float) -> tuple[bytes, bytes]:
    """Cuts a document in two: (head, tail of about `fraction`); neither is empty if there are two bytes.

    The cut is made at the start of a line if one begins in the 4,096 bytes before, else between two UTF-8 characters
    if possible.
    """
    position = max(1, round(len(document) * (1.0 - fraction)))
    return _cut(document, min(position, len(document) - 1), _LINE_REACH)


def _largest_small_size(sizes: Sequence[int], fraction: float) -> int:
    ascending = sorted(sizes)
    sums = itertools.accumulate(ascending)
    most = fraction * (1.0 - fraction)
    return max((size for size, total in zip(ascending, sums, strict=True) if size <= most * total), default=0)


def _cut_end(document: bytes, end: int) -> tuple[bytes, bytes]:
    """Cuts `end` bytes off the end, or up to half as many more for a cut at the start of a line."""
    position = len(document) - end
    return _cut(document, position, min(_LINE_REACH, end // 2, position // 2))


def _cut(document: bytes, position: int, reach: int) -> tuple[bytes, bytes]:
    """Cuts at the start of a line if one begins in the `reach` bytes before, else between two characters if it can."""
    line = document.rfind(b"\n", max(0, position - reach), position) + 1
    if line:
        return document[:line], document[line:]
    for start in range(position, max(0, position - 4), -1):
        if document[start] & 0xC0 != 0x80:  # not inside a character
            return document[:start], document[start:]
    return document[:position], document[position:]


def _note(whole: Sequence[str], cut: Sequence[str]) -> str:
    parts = [f"{len(whole):,} whole document(s): {shown(whole)}"] if whole else []
    parts += [f"the ends of {len(cut):,}: {shown(cut)}"] if cut else []
    return f"To validate on: {'; '.join(parts) or 'nothing'}."

"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Finds the known name that is most similar, if any. A name with the same part after the last dot comes first.

    Example:
        >>> nearest("steps", ["train.steps", "train.seed"])
        'train.steps'
    """
    known = list(known)
    last = name.rpartition(".")[2]
    ends = [other for other in known if other.rpartition(".")[2] == last]
    if len(ends) == 1:
        return ends[0]
    found = difflib.get_close_matches(name, ends or known, 1, 0.6)
    return found[0] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Makes the end of a sentence that suggests a known name; empty if none is similar."""
    found = nearest(name, known)
    return f"; did you mean `{found}`?" if found else ""

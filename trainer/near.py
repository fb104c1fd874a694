"""What a misspelt name may have been meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that is most like this one, if any is; parts that follow a full stop count before all else.

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
    """The end of a sentence that names what may have been meant; empty if nothing is like it."""
    found = nearest(name, known)
    return f"; did you mean `{found}`?" if found else ""

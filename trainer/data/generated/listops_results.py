"""Results of ListOps operators whose arguments are known only by their probabilities.

Shape letters: n arguments; vectors of 10 are the probabilities of the values 0 to 9.
"""

import numpy as np

from trainer.data.generated.listops_text import MAX, MED, MIN, SM

_VALUES = 10
# Row v, column x: the value y with (x + y) mod 10 = v.
_COMPLEMENTS = (np.arange(_VALUES)[:, None] - np.arange(_VALUES)) % _VALUES


def result_probabilities(operator: int, arguments: np.ndarray) -> np.ndarray:
    """Computes the probabilities of an operator's result for independent arguments, exactly.

    Args:
        operator: Id of the operator.
        arguments: `[n, 10]` float64, probabilities of the values of each argument.

    Returns:
        `[10]` float64.

    Raises:
        ValueError: If `operator` is not the id of one.

    Examples:
        >>> from trainer.data.generated.listops_text import SM
        >>> int(result_probabilities(SM, np.eye(10)[[7, 8]]).argmax())
        5
    """
    if operator not in _RESULTS:
        raise ValueError(f"`operator` must be one of {sorted(_RESULTS)}. Received: operator={operator!r}")
    return _RESULTS[operator](arguments)


def _minimum(arguments: np.ndarray) -> np.ndarray:
    return _maximum(arguments[:, ::-1])[::-1]


def _maximum(arguments: np.ndarray) -> np.ndarray:
    return np.diff(np.cumsum(arguments, axis=1).prod(axis=0), prepend=0.0)


def _sum(arguments: np.ndarray) -> np.ndarray:
    total = arguments[0]
    for argument in arguments[1:]:
        total = (argument[_COMPLEMENTS] * total).sum(axis=1)
    return total


def _median(arguments: np.ndarray) -> np.ndarray:
    """The middle of n sorted arguments, or the mean of the two in the middle, rounded down."""
    n = len(arguments)
    counts = _counts_outside(arguments)
    # P(the k-th smallest <= a) = P(at least k are <= a): sums of counts with none between a and a + 1.
    values = np.arange(_VALUES)
    lower_rank = (n + 1) // 2
    lower = np.diff(counts[lower_rank:, values + 1, values + 1].sum(axis=0), prepend=0.0)
    if n % 2:
        return lower
    # For a < b: exactly n/2 arguments are <= a and the others >= b if the lower middle is <= a, the upper one >= b.
    # Differences give P(lower = a and upper = b).
    apart = counts[lower_rank]
    both = np.triu(apart[1:, :-1] - apart[:-1, :-1] - apart[1:, 1:] + apart[:-1, 1:], k=1)
    both += np.diag(lower - both.sum(axis=1))
    return np.bincount(((values[:, None] + values) // 2).ravel(), both.ravel(), minlength=_VALUES)


def _counts_outside(arguments: np.ndarray) -> np.ndarray:
    """`[n + 1, 11, 11]`: at (j, a + 1, b), the probability that j arguments are <= a and all others >= b, for a < b."""
    n = len(arguments)
    at_most = np.pad(np.cumsum(arguments, axis=1), ((0, 0), (1, 0)))  # [n, 11], a from -1
    at_least = np.pad(np.cumsum(arguments[:, ::-1], axis=1)[:, ::-1], ((0, 0), (0, 1)))  # [n, 11], b to 10
    counts = np.zeros((n + 1, _VALUES + 1, _VALUES + 1))
    counts[0] = 1.0
    for below, above in zip(at_most, at_least, strict=True):
        more = counts[:-1] * below[:, None]
        counts *= above
        counts[1:] += more
    return counts


_RESULTS = {MIN: _minimum, MAX: _maximum, MED: _median, SM: _sum}

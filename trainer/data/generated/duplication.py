"""The duplication task of the Reformer's paper: sequences `0 w 0 w`, of which a model predicts the second `w`.

To predict it, a token must attend to the same word half a sequence before: the paper measures with it which share of
such pairs hashing finds (Kitaev et al., "Reformer: The Efficient Transformer", ICLR 2020, section 5, table 2: 127
symbols, length 1,024).

Shape letters: N examples, L length.
"""

import numpy as np

from trainer.data.generated import streams


def duplication(
    count: int, length: int = 1024, symbols: int = 127, seed: int = 0, part: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Makes sequences `0 w 0 w`, each symbol of `w` drawn uniformly.

    Example n depends on the seed, the part and n, not on `count`. The parts are different streams; where only few `w`
    exist, such as with two symbols and length 8, they have some in common.

    The authors' code (Trax) calls a random function whose upper bound is exclusive with the largest id, so that its `w`
    never has that symbol: of 127 symbols it uses 126. Here all are drawn, as the paper says.

    Args:
        count: Number of examples, N.
        length: Length of an example, L; even, so `w` has `L / 2 - 1` ids.
        symbols: Number of symbols of `w`: its ids are 1 to `symbols`, and a model needs `symbols + 1` ids.
        seed: Seed of the data set.
        part: `"train"`, `"validation"` or `"test"`.

    Returns:
        ids: `[N, L]` uint16.
        scored: `[L]` bool, True for the ids of the second `w`, the only ones that can be predicted.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> ids, scored = duplication(count=2, length=8, symbols=9)
        >>> ids.tolist()
        [[0, 5, 4, 4, 0, 5, 4, 4], [0, 4, 2, 4, 0, 4, 2, 4]]
        >>> scored.tolist()
        [False, False, False, False, False, True, True, True]
    """
    streams.check_integer("count", count, least=0)
    streams.check_integer("length", length, least=4)
    streams.check_integer("symbols", symbols, least=1, most=np.iinfo(np.uint16).max)
    if length % 2:
        raise ValueError(f"`length` must be even: both halves are 0 and w. Received: length={length}")
    half = length // 2
    stream = streams.make_stream("duplication", seed, part)
    words = stream.randint(1, symbols + 1, size=(count, half - 1), dtype=np.int32).astype(np.uint16)
    ids = np.tile(np.pad(words, ((0, 0), (1, 0))), 2)
    return ids, np.arange(length) > half

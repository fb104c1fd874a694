"""Attention in windows of whole chunks, the form of the authors' released code, by plain loops in float64.

A round puts the tokens in an order and cuts it into chunks. A query sees the tokens of its own chunk and of so many
chunks before and after it, whatever their buckets, and as often as they are there: what two rounds or two neighbours
bring twice counts twice. Nothing here is merged or vectorized; `meetings` says how often, `attend` lists every key.

B batch, L length, H heads, D depth per head, R rounds, C chunk length.
"""

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """What a query sees. The defaults are those of the layers.

    Attributes:
        chunk_length: C.
        causal: Whether a token sees no later token.
        exclude_self: Whether a token sees itself only if it sees nothing else in any round (shared queries and keys).
        before: Whole chunks before its own.
        after: Whole chunks after its own.
        wrap: Whether all rounds, one after another, are a ring of chunks; else a round ends at its ends.
        length_multiple: The length counts as if it were padded to a multiple of this; C if None.
        exact_length: Sequences up to this length see everything, once; C if None.
        rounds_penalty: Whether what a token gets that sees itself alone is rounded, see `own_factors`.
    """

    chunk_length: int
    causal: bool
    exclude_self: bool
    before: int = 1
    after: int = 0
    wrap: bool = False
    length_multiple: int | None = None
    exact_length: int | None = None
    rounds_penalty: bool = False

    def padded(self, length: int) -> int:
        """The length that counts."""
        multiple = self.length_multiple or self.chunk_length
        while length % multiple:
            length += 1
        return length

    def is_exact(self, length: int) -> bool:
        """Whether a sequence is short enough to see everything."""
        return length <= (self.chunk_length if self.exact_length is None else self.exact_length)


def bucket_factors(padded_length: int, chunk_length: int, max_sequence_length: int) -> tuple[int, ...]:
    """The bucket count that follows the length of a call, as factors.

    The largest power of two that is at most 2 L / C, split in two where it is large for the longest sequence.
    """
    power = 0
    while 2 ** (power + 1) <= 2 * padded_length / chunk_length:
        power += 1
    if 2**power > 2 * max(int(np.sqrt(max_sequence_length // chunk_length)), chunk_length):
        return 2 ** (power // 2), 2 ** (power - power // 2)
    return (2**power,)


def rounds_of_chunks(buckets: np.ndarray | None, mask: np.ndarray, window: Window) -> list[list[list[int | None]]]:
    """The positions in each chunk of each round of one head; None where there is only padding.

    Args:
        buckets: `[R, L]`, or None for the one round of a local layer, whose order is the position.
        mask: `[L]`, True for real tokens. In a hash round the others come after all real tokens.
        window: What a query sees.
    """
    length = len(mask)
    if buckets is None:
        sorted_orders = [list(range(length))]
    else:
        sorted_orders = [
            sorted(range(length), key=lambda i, row=row: (not mask[i], mask[i] * row[i], i)) for row in buckets
        ]
    rounds = []
    for sorted_order in sorted_orders:
        positions = sorted_order + [None] * (window.padded(length) - length)
        rounds.append([positions[i : i + window.chunk_length] for i in range(0, len(positions), window.chunk_length)])
    return rounds


def keys_in_reach(rounds: list[list[list[int | None]]], window: Window) -> list[list[tuple[list, list]]]:
    """By round, each chunk of queries with the positions in its window; positions may be there repeatedly."""
    pairs = []
    ring = [chunk for chunks in rounds for chunk in chunks]
    for r, chunks in enumerate(rounds):
        pairs.append([])
        for c, chunk in enumerate(chunks):
            reach = []
            for shift in range(-window.before, window.after + 1):
                if not window.wrap:
                    reach += chunks[c + shift] if 0 <= c + shift < len(chunks) else []
                elif abs(shift) > len(ring):
                    reach += chunk  # the released code cuts the ring in two slices, and one of them is empty here
                else:
                    reach += ring[(r * len(chunks) + c + shift) % len(ring)]
            pairs[-1].append((chunk, reach))
    return pairs


def meetings(
    buckets: np.ndarray | None, mask: np.ndarray, window: Window, segment_ids: np.ndarray | None = None
) -> np.ndarray:
    """How often each query of one head sees each key in each round, itself included.

    Args:
        buckets: `[R, L]`, or None for a local layer.
        mask: `[L]`, True for real tokens.
        window: What a query sees.
        segment_ids: `[L]`; tokens of different segments do not see each other, but stand in the same chunks.

    Returns:
        Integers `[R, L, L]`, row i for query i.
    """
    length = len(mask)
    if window.is_exact(length):
        pairs = [[(list(range(length)), list(range(length)))]]
    else:
        pairs = keys_in_reach(rounds_of_chunks(buckets, mask, window), window)
    seen = np.zeros([len(pairs), length, length], np.int32)
    for r, round_pairs in enumerate(pairs):
        for queries, keys in round_pairs:
            for i in queries:
                for j in keys:
                    if i is None or j is None or not (mask[i] and mask[j]):
                        continue
                    if window.causal and j > i:
                        continue
                    if segment_ids is not None and segment_ids[i] != segment_ids[j]:
                        continue
                    seen[r, i, j] += 1
    return seen


def all_meetings(
    buckets: np.ndarray | None,
    mask: np.ndarray,
    heads: int,
    window: Window,
    segment_ids: np.ndarray | None = None,
) -> np.ndarray:
    """`meetings` of every row and head, `[B, H, R, L, L]`.

    Args:
        buckets: `[B, H, R, L]`, or None for a local layer.
        mask: `[B, L]`.
        heads: H.
        window: What a query sees.
        segment_ids: `[B, L]` or None.
    """
    result = []
    for b in range(len(mask)):
        segments = None if segment_ids is None else segment_ids[b]
        if buckets is None or window.is_exact(mask.shape[1]):
            result.append([meetings(None, mask[b], window, segments)] * heads)  # all heads see the same
        else:
            result.append([meetings(buckets[b, h], mask[b], window, segments) for h in range(heads)])
    return np.array(result)


def own_factors(seen: np.ndarray) -> np.ndarray:
    """Factors by which the released code scales a token that sees only itself: nearly one.

    There, the logit of a token with itself is -1e5 in float32, and rounds are merged by log-sum-exps. Near -1e5 float32
    has steps of 1/128, so that the shares do not sum to one exactly.

    Args:
        seen: `[..., R, L, L]`, as `meetings` has it.

    Returns:
        `[..., L]`, 1 where a token sees others, or nothing.
    """
    own = np.diagonal(seen, axis1=-2, axis2=-1)  # [..., R, L]
    sees_only_itself = (own.sum(-2) > 0) & (own.sum(-2) == seen.sum((-3, -1)))
    factors = np.ones(sees_only_itself.shape)
    for index in zip(*np.nonzero(sees_only_itself), strict=True):
        times = own[(*index[:-1], slice(None), index[-1])]
        round_sums = np.float32(-1e5) + np.log(times.astype(np.float32))
        largest = round_sums.max()
        merged = largest + np.log(np.exp(round_sums - largest).sum())
        assert merged.dtype == np.float32
        factors[index] = times.sum() * np.exp(-1e5 - np.float64(merged))
    return factors


def attend(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    buckets: np.ndarray | None,
    mask: np.ndarray,
    window: Window,
    segment_ids: np.ndarray | None = None,
) -> np.ndarray:
    """Attention of projected tokens; query by query, over the list of all that it sees, repeats included.

    Args:
        query: `[B, H, L, D]`; a logit is the plain product of query and key.
        key: `[B, H, L, D]`.
        value: `[B, H, L, D]`.
        buckets: `[B, H, R, L]`, or None for a local layer.
        mask: `[B, L]`, True for real tokens.
        window: What a query sees.
        segment_ids: `[B, L]` or None.

    Returns:
        float64 `[B, H, L, D]`; zeros for masked queries.
    """
    seen = all_meetings(buckets, mask, query.shape[1], window, segment_ids)
    factors = own_factors(seen) if window.rounds_penalty else np.ones(value.shape[:3])
    seen = seen.sum(2)
    output = np.zeros(value.shape)
    for b, h, i in np.ndindex(*query.shape[:3]):
        others = [j for j in range(query.shape[2]) for _ in range(seen[b, h, i, j]) if j != i]
        own = [i] * seen[b, h, i, i]
        keys = (others or own) if window.exclude_self else others + own
        if keys:
            logits = np.array([np.dot(query[b, h, i].astype(np.float64), key[b, h, j]) for j in keys])
            weights = np.exp(logits - logits.max())
            output[b, h, i] = factors[b, h, i] * (weights / weights.sum()) @ value[b, h, keys]
    return output

"""Attention of all three kinds in numpy, slow and obvious, in float64; to be read beside the paper (arXiv 2001.04451).

Every set of tokens that a query may look at is a dense boolean `[L, L]` matrix, row i for query i. Nothing is sorted,
cut in chunks or merged: what the layers compute by windows must equal the plain softmax over such a matrix. Where a
pair may count more than once (see `chunk_window_reference`) the matrix has numbers: how often.

B batch, L length, H heads, D depth per head, M model width, R rounds, C chunk length.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

SELF_PENALTY = 1e5  # "attends to itself only when it has no other target" (section 2, causal masking)


class Projections(NamedTuple):
    """Kernels `[M, H, D]` (output: `[H, D, M]`) and biases; `key` is None where queries and keys share a kernel."""

    query: np.ndarray
    key: np.ndarray | None
    value: np.ndarray
    output: np.ndarray
    query_bias: np.ndarray | float = 0.0
    key_bias: np.ndarray | float = 0.0
    value_bias: np.ndarray | float = 0.0
    output_bias: np.ndarray | float = 0.0

    @classmethod
    def from_weights(
        cls, weights: Sequence[np.ndarray], shared_query_key: bool, use_bias: bool = False
    ) -> "Projections":
        """Sorts the trainable weights of a layer, in the order of its `get_weights`."""
        names = ["query", "value", "output"] if shared_query_key else ["query", "key", "value", "output"]
        names = [name for one in names for name in ((one, f"{one}_bias") if use_bias else (one,))]
        found = dict(zip(names, (np.asarray(weight, np.float64) for weight in weights), strict=True))
        return cls(**{"key": None, **found})


def project(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """`[B, L, M]` -> `[B, H, L, D]`."""
    y = np.einsum("blm,mhd->blhd", np.asarray(x, np.float64), kernel) + bias
    return y.transpose(0, 2, 1, 3)


def shared_keys(q: np.ndarray) -> np.ndarray:
    """Keys made of queries `[..., D]`: of unit length (section 2, shared-QK Transformer), up to a small epsilon."""
    return q / np.sqrt(np.mean(q**2, axis=-1, keepdims=True) + 1e-6) / np.sqrt(q.shape[-1])


def rotate(x: np.ndarray) -> np.ndarray:
    """Rotary positions of `[..., L, D]` (Su et al., 2021): channels i and i + D/2 are a rotated complex number."""
    half = x.shape[-1] // 2
    theta = 10000.0 ** (-np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * np.arange(x.shape[-2])[:, None] * theta)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def hash_buckets(q: np.ndarray, rotations: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Buckets `[B, H, R, L]` of queries `[B, H, L, D]`: h(x) = argmax([xR; -xR]) for each factor, mixed radix.

    Args:
        q: Queries.
        rotations: `[H, D, R, columns]`; the factors' halves, one after another, are the columns.
        factors: Even numbers whose product is the number of buckets.
    """
    buckets, column, radix = 0, 0, 1
    for factor in factors:
        p = np.einsum("bhld,hdrn->bhrln", q, rotations[..., column : column + factor // 2])
        buckets = buckets + radix * np.argmax(np.concatenate([p, -p], axis=-1), axis=-1)
        column += factor // 2
        radix *= factor
    return buckets


def window(buckets: np.ndarray, mask: np.ndarray, chunk_length: int, causal: bool) -> np.ndarray:
    """Which pairs meet in the window of one round.

    Tokens of a bucket stand in a queue, in the order of their positions; masked tokens stand in none. A query meets
    those of its own bucket that are less than C places before it (causal), or before or after it, itself included.

    Args:
        buckets: `[L]`; all equal for the local round.
        mask: `[L]`, True for real tokens.
        chunk_length: C.
        causal: Whether a query meets no token after it.

    Returns:
        `[L, L]` boolean, row i for query i.
    """
    length = len(buckets)
    rank, queue_length = np.zeros(length, int), {}
    for i in range(length):
        if mask[i]:
            rank[i] = queue_length.get(buckets[i], 0)
            queue_length[buckets[i]] = rank[i] + 1
    meets = np.zeros([length, length], bool)
    for i in range(length):
        before = rank[i] - rank
        near = (before >= 0) & (before < chunk_length) if causal else abs(before) < chunk_length
        meets[i] = mask[i] & mask & (buckets == buckets[i]) & near
    return meets


def visible_pairs(
    rounds: np.ndarray,
    mask: np.ndarray,
    chunk_length: int,
    causal: bool,
    segment_ids: np.ndarray | None = None,
) -> np.ndarray:
    """The union of all rounds (section 2, multi-round LSH attention): a pair that meets twice is there once.

    Args:
        rounds: `[B, H, R, L]`, buckets of the hash rounds; a local round is one with equal buckets.
        mask: `[B, L]`, True for real tokens.
        chunk_length: C.
        causal: Whether a query sees no token after it.
        segment_ids: `[B, L]`; tokens of different segments do not see each other, but stand in the same queues.

    Returns:
        `[B, H, L, L]` boolean.
    """
    batch, heads, _, length = rounds.shape
    visible = np.zeros([batch, heads, length, length], bool)
    for b in range(batch):
        for h in range(heads):
            for buckets in rounds[b, h]:
                visible[b, h] |= window(buckets, mask[b], chunk_length, causal)
        if segment_ids is not None:
            visible[b] &= segment_ids[b][:, None] == segment_ids[b][None, :]
    return visible


def all_pairs(mask: np.ndarray, heads: int, causal: bool, segment_ids: np.ndarray | None = None) -> np.ndarray:
    """`visible_pairs` of exact attention: `[B, H, L, L]`."""
    one_bucket = np.zeros([len(mask), heads, 1, mask.shape[1]], int)
    return visible_pairs(one_bucket, mask, mask.shape[1], causal, segment_ids)


def attend(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    visible: np.ndarray,
    self_penalty: float,
    log_weights: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Softmax over the visible pairs, each as often as it counts; zeros for a query that sees nothing.

    q, k (scaled), v `[B, H, L, D]`; visible `[B, H, L, L]`, boolean or numbers; the logarithms of pairs' weights
    `[B, H, L, L]` from q and k, if they are not the products.
    """
    logits = q @ k.swapaxes(-1, -2) if log_weights is None else log_weights(q, k * np.sqrt(q.shape[-1]))
    logits = logits - self_penalty * np.eye(q.shape[-2])
    logits = np.where(visible, logits, -np.inf)
    highest = logits.max(axis=-1, keepdims=True)
    p = visible * np.exp(logits - np.where(np.isfinite(highest), highest, 0.0))
    total = p.sum(axis=-1, keepdims=True)
    return (p / np.where(total == 0.0, 1.0, total)) @ v


def attention(
    x: np.ndarray,
    projections: Projections,
    visible: np.ndarray,
    rotary: bool = False,
    factors: np.ndarray | None = None,
    log_weights: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """A whole layer, `[B, L, M]` -> `[B, L, M]`.

    Args:
        x: `[B, L, M]`.
        projections: Its weights.
        visible: `[B, H, L, L]`, as `attend` takes them.
        rotary: Whether queries and keys are rotated by their positions.
        factors: `[B, H, L]`, what each head of each token is scaled by before the output projection, or None.
        log_weights: From queries and keys `[B, H, L, D]`, not scaled, to the logarithms of pairs' weights; None for
            those of softmax attention.
    """
    maybe_rotate = rotate if rotary else np.asarray
    q = maybe_rotate(project(x, projections.query, projections.query_bias))
    v = project(x, projections.value, projections.value_bias)
    if projections.key is None:
        o = attend(q, shared_keys(q), v, visible, SELF_PENALTY)
    else:
        k = maybe_rotate(project(x, projections.key, projections.key_bias)) / np.sqrt(q.shape[-1])
        o = attend(q, k, v, visible, 0.0, log_weights)
    if factors is not None:
        o = o * factors[..., None]
    return np.einsum("bhld,hdm->blm", o, projections.output) + projections.output_bias


def cross_attention(
    x: np.ndarray,
    context: np.ndarray,
    projections: Projections,
    mask: np.ndarray,
    context_mask: np.ndarray,
    log_weights: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """A whole layer of cross-attention, `[B, L, M]` and a context `[B, S, N]` -> `[B, L, M]`.

    Args:
        x: `[B, L, M]`.
        context: `[B, S, N]`.
        projections: The layer's weights.
        mask: `[B, L]`, True for real tokens; others get what a query that sees nothing gets.
        context_mask: `[B, S]`.
        log_weights: As in `attention`.
    """
    # Real tokens only: what stands in the place of others may be anything.
    x, context = np.where(mask[..., None], x, 0), np.where(context_mask[..., None], context, 0)
    q = project(x, projections.query, projections.query_bias)
    k, v = (
        project(context, projections.key, projections.key_bias),
        project(context, projections.value, projections.value_bias),
    )
    logits = log_weights(q, k) if log_weights else q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    visible = np.broadcast_to((mask[:, :, None] & context_mask[:, None, :])[:, None], logits.shape)
    p = np.where(visible, np.exp(logits - logits.max(axis=-1, keepdims=True)), 0)
    total = p.sum(axis=-1, keepdims=True)
    o = p / np.where(total == 0, 1, total) @ v
    return np.einsum("bhld,hdm->blm", o, projections.output) + projections.output_bias

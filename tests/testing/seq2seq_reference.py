"""A whole encoder-decoder in numpy, slow and obvious, in float64; to be read beside the paper's section 3 and 5.

Exact attention without rotary positions, learned positions, ReLU. A model has the weights of its encoder (embedding,
positions, blocks, final normalisation), of its decoder (the same with blocks of three branches, and the vector before
the target), and of its head.

B rows, S length of the sources, L of the targets, M width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.testing import attention_reference, reversible_reference
from tests.testing.attention_reference import Projections

EPSILON = 1e-6


class Side(NamedTuple):
    """The weights of an encoder or a decoder.

    Attributes:
        embedding: `[V, M]`; looked-up vectors are scaled by the square root of M.
        positions: `[longest, M]`.
        branches: of each branch scale and offset of its normalisation, and the weights of its sublayer.
        norm: scale and offset of the final normalisation.
    """

    embedding: np.ndarray
    positions: np.ndarray
    branches: Sequence[tuple[np.ndarray, np.ndarray, Sequence[np.ndarray]]]
    norm: tuple[np.ndarray, np.ndarray]


class Weights(NamedTuple):
    """The weights of a model.

    Attributes:
        encoder: of the encoder.
        decoder: of the decoder.
        start: `[M]`, the vector before the target.
        bias: `[V]`, of the head, whose kernel is the decoder's embedding.
    """

    encoder: Side
    decoder: Side
    start: np.ndarray
    bias: np.ndarray


def weights(model: Any, value: Callable[[Any], np.ndarray] = lambda variable: variable.numpy()) -> Weights:
    """Sorts the weights of a `ReformerSeq2Seq` by its layers.

    Args:
        model: The model.
        value: Gives the number that a variable stands for.
    """

    def side(backbone: Any) -> Side:
        branches = [
            (
                value(branch.normalization.gamma),
                value(branch.normalization.beta),
                [value(v) for v in branch.layer.trainable_variables],
            )
            for branch in backbone.get_layer("stack").branches
        ]
        norm = backbone.get_layer("final_norm")
        position = backbone.get_layer("position_embedding")
        return Side(
            value(backbone.token_embedding.embeddings),
            value(position.table),
            branches,
            (value(norm.gamma), value(norm.beta)),
        )

    start = value(model.decoder.get_layer("shifted_embedding").start)
    return Weights(side(model.encoder), side(model.decoder), start, value(model.head.bias))


def logits(
    weights: Weights, source: np.ndarray, target: np.ndarray, source_mask: np.ndarray, target_mask: np.ndarray
) -> np.ndarray:
    """The logits `[B, L, V]` of each target token, given the source and the target tokens before it."""
    scale = np.sqrt(weights.start.shape[0])
    x = weights.encoder.embedding[source] * scale + weights.encoder.positions[: source.shape[1]]
    heads = weights.encoder.branches[0][2][0].shape[1]
    seen = attention_reference.all_pairs(source_mask, heads, causal=False)
    context = _stack(weights.encoder, x, [_self_attention(seen), _feed_forward])

    before = np.zeros([*target.shape, weights.start.shape[0]])
    for row in range(len(target)):
        vector = weights.start
        for i in range(target.shape[1]):
            before[row, i] = vector
            if target_mask[row, i]:
                vector = weights.decoder.embedding[target[row, i]] * scale
    x = before + weights.decoder.positions[: target.shape[1]]
    seen = attention_reference.all_pairs(target_mask, heads, causal=True)

    def attend_to_source(x: np.ndarray, own: Sequence[np.ndarray]) -> np.ndarray:
        projections = Projections.from_weights(own, False)
        return attention_reference.cross_attention(x, context, projections, target_mask, source_mask)

    vectors = _stack(weights.decoder, x, [_self_attention(seen), attend_to_source, _feed_forward])
    return vectors @ weights.decoder.embedding.T + weights.bias


def losses(logits: np.ndarray, target: np.ndarray, label_smoothing: float) -> np.ndarray:
    """Cross-entropies `[B, L]` in nats of targets whose probability is partly spread over all tokens."""
    highest = logits.max(-1, keepdims=True)
    log_p = logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))
    vocabulary = logits.shape[-1]
    wanted = np.eye(vocabulary)[target] * (1 - label_smoothing) + label_smoothing / vocabulary
    return -np.sum(wanted * log_p, axis=-1)


def _stack(side: Side, x: np.ndarray, kinds: Sequence[Callable]) -> np.ndarray:
    """Branches of the kinds in turn, the mean of the two streams, and the final normalisation."""

    def branch(kind: Callable, gamma: np.ndarray, beta: np.ndarray, own: Sequence[np.ndarray]) -> Callable:
        return lambda x: kind(_normalised(x, gamma, beta), own)

    branches = [branch(kinds[i % len(kinds)], *weights) for i, weights in enumerate(side.branches)]
    streams = [x, x]
    pairs = list(zip(branches[::2], branches[1::2], strict=False))
    y1, y2 = reversible_reference.forward(*streams, pairs)
    if len(branches) % 2:
        y1 = y1 + branches[-1](y2)
    return _normalised((y1 + y2) / 2, *side.norm)


def _self_attention(visible: np.ndarray) -> Callable:
    return lambda x, own: attention_reference.attention(x, Projections.from_weights(own, False), visible)


def _feed_forward(x: np.ndarray, own: Sequence[np.ndarray]) -> np.ndarray:
    inner, inner_bias, outer, outer_bias = own
    return np.maximum(x @ inner + inner_bias, 0) @ outer + outer_bias


def _normalised(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + EPSILON) * gamma + beta

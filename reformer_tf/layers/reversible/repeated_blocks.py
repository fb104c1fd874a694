"""Turns the Keras layers of a reversible stack into branches, pure functions of sliced streams.

Any layer can be a branch. For this package's own layers there are better ones: a feed-forward branch computes slice by
slice, an attention branch slice by slice and some heads at a time, so that no tensor of a stream's size is made. Blocks
that differ only in their weights are one layer scan.
"""

import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import keras

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.feed_forward import ChunkedFeedForward
from reformer_tf.layers.normalization import ChunkedLayerNormalization
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible.any_layer_branch import AnyLayerBranch
from reformer_tf.layers.reversible.cross_attention_branch import CrossAttentionBranch
from reformer_tf.layers.reversible.feed_forward_branch import PositionWise
from reformer_tf.layers.reversible.layer_branch import LayerBranch
from reformer_tf.layers.reversible.self_attention_branch import SelfAttentionBranch
from reformer_tf.ops.execution import budgets, loops


def runs(
    layers: Sequence[keras.layers.Layer], options: dict[str, Any], block_sizes: Sequence[int] | None = None
) -> list[list[list[LayerBranch]]]:
    """Makes the branches of a stack, as `reformer_tf.ops.reversible.gradient.reversible_residual` takes them.

    Args:
        layers: built, those of all blocks.
        options: the call arguments `mask`, `segment_ids`, `context_mask`, `seed` and `training`.
        block_sizes: how many layers each block has; two if None.
    """
    if block_sizes is None:
        block_sizes = [2] * (len(layers) // 2)
    branches = [make_branch(layer, options) for layer in layers]
    remaining = iter(branches)
    blocks = [tuple(itertools.islice(remaining, size)) for size in block_sizes]
    weights_bytes = sum(weight.dtype.size * weight.shape.num_elements() for b in branches for weight in b.weights)
    scans = not loops.in_xla() or weights_bytes <= budgets.current().scanned_bytes
    found, start = [], 0
    while start < len(blocks):
        kinds = [tuple(branch.kind for branch in block) for block in blocks[start:]]
        period, repeats = _most_repeats(kinds) if scans else (1, 1)
        end = start + period * repeats
        found.append([[b for block in blocks[i : i + period] for b in block] for i in range(start, end, period)])
        start = end
    return found


def make_branch(layer: keras.layers.Layer, options: dict[str, Any]) -> LayerBranch:
    """Makes the branch of one layer. Arguments as in `runs`."""
    if type(layer) is ResidualBranch and _is_known(layer):
        if type(layer.layer) is ChunkedFeedForward:
            return PositionWise(layer, options)
        if isinstance(layer.layer, SelfAttention) and type(layer.layer).call is SelfAttention.call:
            return SelfAttentionBranch(layer, options)
        if isinstance(layer.layer, CrossAttention) and type(layer.layer).call is CrossAttention.call:
            return CrossAttentionBranch(layer, options)
    return AnyLayerBranch(layer, options)


def _is_known(branch: ResidualBranch) -> bool:
    """Whether a branch has the parts that its class makes, and no activity regularizers."""
    parts = (branch, branch.layer, branch.normalization, branch.dropout)
    made = type(branch.normalization) is ChunkedLayerNormalization and type(branch.dropout) is SeededDropout
    return made and all(part.activity_regularizer is None for part in parts)


def _most_repeats(kinds: Sequence[tuple[Hashable, ...]]) -> tuple[int, int]:
    """The period of blocks at the beginning, and its repeats, that cover the most blocks; the shortest such period.

    A period has an even number of branches, so that each repeat begins with the same of the two streams.
    """
    best = (1, 1)
    for period in range(1, len(kinds) // 2 + 1):
        first = kinds[:period]
        if any(None in kind for kind in first):
            break
        if sum(map(len, first)) % 2:
            continue
        repeats = 1
        while kinds[repeats * period : (repeats + 1) * period] == first:
            repeats += 1
        if repeats > 1 and period * repeats > best[0] * best[1]:
            best = (period, repeats)
    return best

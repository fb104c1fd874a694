"""Formulas for the operations and bytes of each stage of a training step, from the sizes.

Operations are those of the algorithm, whatever the implementation: two for each multiplication with addition of a
matrix product and one for each other arithmetic operation on an element; blocks count fully, with the pairs that the
mask hides. Bytes are the minimum that a stage must read from and write to memory if all intermediate values stay in the
cache: its inputs, its weights and its outputs, once each. Further transfers of a stage, such as logits that do not fit
a cache, make it reach only a small fraction of its limit.

The backward pass of a layer in a reversible stack computes the layer again, because its inputs were not saved; the
counts include that, except for the hashing, whose buckets are saved. Letters are those of
`benchmarks.stages.quantities`.
"""

import math

from benchmarks.stages.quantities import Cost, Sizes, Stage

# Bytes of a number that is float32 in every precision (weights, residual streams, softmax statistics), and of an int32.
_WIDE = 4
_INTEGER = 4
# Operations of a normalisation for each element: mean, variance, scale and shift; and those of its gradient.
_NORM, _NORM_GRADIENT = 8, 12
# Operations for each logit: the mask (a difference, two comparisons, a selection), the maximum, the difference to it,
# the sum. For its gradient: the mask, the difference to the log-sum-exp, the difference to delta, a product.
_LOGIT, _LOGIT_GRADIENT = 7, 7
# Operations to make a key from a query, for each channel: the square, the sum, the product; and those of the gradient.
_KEY, _KEY_GRADIENT = 3, 6


def stages(s: Sizes) -> list[Stage]:
    """All stages of a step, in the sequence of the forward pass."""
    return [
        embedding(s),
        layer_norm(s),
        projections(s),
        hashing(s),
        sorting(s),
        attention(s),
        laying_out(s),
        blocks(s),
        merging(s),
        output_projection(s),
        feed_forward(s),
        residual(s),
        final_norm(s),
        head(s),
    ]


def embedding(s: Sizes) -> Stage:
    """Rows of the table, scaled, plus positions; backward, gradients summed for each row of the table and position."""
    values = s.tokens * s.width
    read = s.tokens * _INTEGER + values * s.itemsize
    table = s.vocabulary_size * s.width * _WIDE
    return Stage("embedding", Cost(2 * values, read + table), Cost(3 * values, read + table), in_layer=False)


def layer_norm(s: Sizes) -> Stage:
    """The normalisations before both branches of a layer."""
    forward, backward = _one_norm(s)
    again = forward + backward
    return Stage("layer norm", forward.times(2), again.times(2))


def final_norm(s: Sizes) -> Stage:
    """The normalisation before the head; the backward pass does not compute it again."""
    return Stage("final norm", *_one_norm(s), in_layer=False)


def _one_norm(s: Sizes) -> tuple[Cost, Cost]:
    values = s.tokens * s.width
    stream, result = values * _WIDE, values * s.itemsize
    # Backward: the input and the gradient of the output are read, the gradient of the input is written.
    return Cost(_NORM * values, stream + result), Cost(_NORM_GRADIENT * values, 2 * stream + result)


def projections(s: Sizes) -> Stage:
    """The projections of the input to queries and values."""
    product = 2 * s.tokens * s.width * 2 * s.channels
    inputs, heads = s.tokens * s.width * s.itemsize, s.tokens * s.channels * s.itemsize
    weights = 2 * s.width * s.channels * _WIDE
    forward = Cost(product, inputs + weights + 2 * heads)
    # Read: the gradients of query and value, the input. Written: the gradients of input and weights.
    gradient = Cost(2 * product, 2 * heads + 2 * inputs + 2 * weights)
    return Stage("projections", forward, forward + gradient)


def hashing(s: Sizes) -> Stage:
    """Projections of the queries by rotations, and their argmax; nothing in the backward pass."""
    projected = s.hash_rounds * s.heads * s.tokens * s.projections
    # The largest and the smallest projection, and their indices.
    flops = 2 * projected * s.key_dim + 4 * projected
    rotations = s.hash_rounds * s.heads * s.key_dim * s.projections * _WIDE
    buckets = s.hash_rounds * s.heads * s.tokens * _INTEGER
    moved = s.tokens * s.channels * s.itemsize + rotations + buckets
    return Stage("hashing", Cost(flops, moved), Cost(0, 0))


def sorting(s: Sizes) -> Stage:
    """Buckets to positions by rank, ranks by position, and sort keys; again in the backward pass."""
    entries = s.hash_rounds * s.heads * s.tokens
    once = Cost(entries * math.ceil(math.log2(max(s.length, 2))), 4 * entries * _INTEGER)
    return Stage("sorting", once, once)


def attention(s: Sizes) -> Stage:
    """Queries, values and sorted orders to outputs: laying out, blocks and merging."""
    parts = [laying_out(s), blocks(s), merging(s)]
    # Values that one part writes and the next reads stay in the cache.
    forward = Cost(*(sum(part.forward[i] for part in parts) for i in range(len(Cost._fields))))
    backward = Cost(*(sum(part.backward[i] for part in parts) for i in range(len(Cost._fields))))
    vectors, wide = s.tokens * s.channels * s.itemsize, s.tokens * s.channels * _WIDE
    indices = s.heads * s.tokens * _INTEGER
    sums = s.heads * s.tokens * _WIDE
    # Forward: each round reads query, value and its sorted order; outputs and log-sum-exps are written.
    first = s.rounds * (2 * vectors + 2 * indices) + vectors + sums
    # Backward: delta is computed from the output and its gradient; each round also reads the gradient, log-sum-exp and
    # delta; two gradients are summed over rounds, in float32.
    gradient = vectors + wide + s.rounds * (3 * vectors + 2 * indices + 2 * sums) + 2 * (2 * s.rounds - 1) * wide
    return Stage("attention", forward._replace(bytes=first), backward._replace(bytes=first + gradient), blocks=True)


def laying_out(s: Sizes) -> Stage:
    """Queries, values and tags gathered in each round's sorted order; backward, also gradients and two sums a token."""
    vectors, sums = s.tokens * s.channels * s.itemsize, s.heads * s.tokens * _WIDE
    index = s.heads * s.tokens * _INTEGER
    tags = s.rounds * index
    forward = Cost(0, s.rounds * (2 * (2 * vectors + tags) + index))
    gradient = Cost(0, s.rounds * (2 * (3 * vectors + tags + 2 * sums) + index))
    return Stage("laying out", forward, forward + gradient, part_of="attention")


def blocks(s: Sizes) -> Stage:
    """Attention in blocks with mask and softmax: two matrix products forward, and five for the gradient.

    Each round makes the keys from the queries.
    """
    product = 2 * s.logits * s.key_dim
    keys = s.rounds * s.tokens * s.channels
    vectors, wide = s.tokens * s.channels * s.itemsize, s.tokens * s.channels * _WIDE
    sums, tags = s.heads * s.tokens * _WIDE, s.rounds * s.heads * s.tokens * _INTEGER
    forward = Cost(
        2 * product + (_LOGIT + 1) * s.logits + _KEY * keys,
        s.rounds * (2 * vectors + tags + wide + sums),
        exponentials=s.logits,
    )
    gradient = Cost(
        5 * product + (_LOGIT_GRADIENT + 1) * s.logits + (_KEY + _KEY_GRADIENT) * keys,
        s.rounds * (3 * vectors + tags + 2 * sums + 2 * vectors),
        exponentials=s.logits,
    )
    return Stage("blocks", forward, forward + gradient, blocks=True, part_of="attention")


def merging(s: Sizes) -> Stage:
    """Outputs of rounds gathered back to positions and averaged with weights; backward, two gradients of each round."""
    vectors, wide = s.tokens * s.channels * s.itemsize, s.tokens * s.channels * _WIDE
    sums, index = s.heads * s.tokens * _WIDE, s.heads * s.tokens * _INTEGER
    weighed = 0 if s.rounds == 1 else 2 * s.rounds * s.tokens * s.channels
    exponentials = 0 if s.rounds == 1 else 2 * s.rounds * s.heads * s.tokens
    forward = Cost(weighed + exponentials, s.rounds * (wide + sums + index) + vectors + sums, exponentials)
    delta = 2 * s.tokens * s.channels
    gradient = Cost(
        delta + 2 * s.rounds * s.tokens * s.channels, wide + vectors + s.rounds * (2 * vectors + index) + 2 * wide
    )
    return Stage("merging", forward, forward + gradient, part_of="attention")


def output_projection(s: Sizes) -> Stage:
    """The projection of all heads' outputs to the width of the model."""
    product = 2 * s.tokens * s.channels * s.width
    heads, outputs = s.tokens * s.channels * s.itemsize, s.tokens * s.width * s.itemsize
    weights = s.channels * s.width * _WIDE
    forward = Cost(product, heads + weights + outputs)
    gradient = Cost(2 * product, outputs + 2 * heads + 2 * weights)
    return Stage("output projection", forward, forward + gradient)


def feed_forward(s: Sizes) -> Stage:
    """Two products with gelu between; the backward pass recomputes each chunk once."""
    inner = s.tokens * s.intermediate_dim
    products = 2 * 2 * inner * s.width
    values = s.tokens * s.width * s.itemsize
    weights = 2 * s.width * s.intermediate_dim * _WIDE
    # Biases are added to the inner values and to the outputs.
    added = inner + s.tokens * s.width
    forward = Cost(products + added + inner, 2 * values + weights, gelus=inner)
    # Input and gradient of the output are read, output and gradient of the input written. The inner gradient is
    # multiplied by gelu's, and summed for both biases.
    backward = Cost(3 * products + 2 * added + 3 * inner, 4 * values + 2 * weights, gelus=2 * inner)
    return Stage("feed-forward", forward, backward)


def residual(s: Sizes) -> Stage:
    """Both branches added to the streams; backward, subtracted again, and their gradients added."""
    values = s.tokens * s.width
    added = Cost(values, values * (2 * _WIDE + s.itemsize))
    return Stage("residual sums", added.times(2), added.times(4))


def head(s: Sizes) -> Stage:
    """Vectors to logits and losses; the backward pass recomputes the logits, which are in general too large to save."""
    product = 2 * s.tokens * s.width * s.vocabulary_size
    values, scores = s.tokens * s.width * s.itemsize, s.tokens * s.vocabulary_size
    weights = s.width * s.vocabulary_size * _WIDE
    targets = s.tokens * _INTEGER
    # A bias, the largest, the difference to it, exp, the sum.
    forward = Cost(product + 5 * scores, values + weights + targets + s.tokens * _WIDE, exponentials=scores)
    gradient = Cost(3 * product + 7 * scores, 2 * values + 2 * weights + targets, exponentials=scores)
    return Stage("head and loss", forward, gradient, in_layer=False)

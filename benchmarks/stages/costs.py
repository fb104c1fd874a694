"""What each stage of a training step must compute and move, by formula from the sizes.

Counted is what the algorithm asks for, whoever computes it: two operations for each multiplication with addition of a
matrix product and one for each other arithmetic operation on an element; blocks are counted whole, with the pairs that
the mask hides. Bytes are those that a stage must read from and write to memory when nothing of what it needs inside
ever leaves the cache: its inputs, its weights and its outputs, once each. What a stage moves beside them, such as
logits that do not fit a cache, shows as a low share of its limit.

The backward pass of a layer in a reversible stack computes the layer again, because its inputs were not kept; that is
part of the count, except of the hashing, whose buckets are kept. Letters are those of `benchmarks.stages.quantities`.
"""

import math

from benchmarks.stages.quantities import Cost, Sizes, Stage

# Bytes of what is float32 whatever the precision: weights, residual streams, softmax statistics; and of an int32.
_WIDE = 4
_INTEGER = 4
# Operations on an element: mean, variance, scale and shift; and the gradient of these.
_NORM, _NORM_GRADIENT = 8, 12
# Of a logit: its mask (a difference, two comparisons, a selection), its maximum, its difference to it, the sum. Of its
# gradient: the mask, the difference to the log-sum-exp, that to delta, a product.
_LOGIT, _LOGIT_GRADIENT = 7, 7
# Of a channel of a query: its square, the sum, the product that makes the key of it; and the gradient.
_KEY, _KEY_GRADIENT = 3, 6


def stages(s: Sizes) -> list[Stage]:
    """All stages of a step, in the order of the forward pass."""
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
    """Rows of the table, scaled, with positions added; back, their sum for each row of the table and each position."""
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
    """The normalisation before the head, whose input is there in the backward pass."""
    return Stage("final norm", *_one_norm(s), in_layer=False)


def _one_norm(s: Sizes) -> tuple[Cost, Cost]:
    values = s.tokens * s.width
    stream, result = values * _WIDE, values * s.itemsize
    # Back: the input and the gradient of the output are read, the gradient of the input is written.
    return Cost(_NORM * values, stream + result), Cost(_NORM_GRADIENT * values, 2 * stream + result)


def projections(s: Sizes) -> Stage:
    """The input to queries and values."""
    product = 2 * s.tokens * s.width * 2 * s.channels
    inputs, heads = s.tokens * s.width * s.itemsize, s.tokens * s.channels * s.itemsize
    weights = 2 * s.width * s.channels * _WIDE
    forward = Cost(product, inputs + weights + 2 * heads)
    # Read: the gradients of query and value, the input. Written: the gradients of input and weights.
    gradient = Cost(2 * product, 2 * heads + 2 * inputs + 2 * weights)
    return Stage("projections", forward, forward + gradient)


def hashing(s: Sizes) -> Stage:
    """Projections of the queries by rotations, and the largest of them; nothing in the backward pass."""
    projected = s.hash_rounds * s.heads * s.tokens * s.projections
    # The largest and the smallest, and where they are.
    flops = 2 * projected * s.key_dim + 4 * projected
    rotations = s.hash_rounds * s.heads * s.key_dim * s.projections * _WIDE
    buckets = s.hash_rounds * s.heads * s.tokens * _INTEGER
    moved = s.tokens * s.channels * s.itemsize + rotations + buckets
    return Stage("hashing", Cost(flops, moved), Cost(0, 0))


def sorting(s: Sizes) -> Stage:
    """Buckets to positions by rank, ranks by position, and u; again in the backward pass."""
    entries = s.hash_rounds * s.heads * s.tokens
    once = Cost(entries * math.ceil(math.log2(max(s.length, 2))), 4 * entries * _INTEGER)
    return Stage("sorting", once, once)


def attention(s: Sizes) -> Stage:
    """Queries, values and orders to outputs: laying out, blocks and merging."""
    parts = [laying_out(s), blocks(s), merging(s)]
    # What one part writes and the next reads stays in the cache.
    forward = Cost(*(sum(part.forward[i] for part in parts) for i in range(len(Cost._fields))))
    backward = Cost(*(sum(part.backward[i] for part in parts) for i in range(len(Cost._fields))))
    vectors, wide = s.tokens * s.channels * s.itemsize, s.tokens * s.channels * _WIDE
    indices = s.heads * s.tokens * _INTEGER
    sums = s.heads * s.tokens * _WIDE
    # Forward: each round reads query, value and its order; outputs and log-sum-exps are written.
    first = s.rounds * (2 * vectors + 2 * indices) + vectors + sums
    # Back: the output and its gradient make delta; each round reads the gradient too, log-sum-exp and delta; two
    # gradients are added up, in float32.
    gradient = vectors + wide + s.rounds * (3 * vectors + 2 * indices + 2 * sums) + 2 * (2 * s.rounds - 1) * wide
    return Stage("attention", forward._replace(bytes=first), backward._replace(bytes=first + gradient), blocks=True)


def laying_out(s: Sizes) -> Stage:
    """Queries, values and tags (back, the gradient and two numbers a token too) gathered in the order of each round."""
    vectors, sums = s.tokens * s.channels * s.itemsize, s.heads * s.tokens * _WIDE
    index = s.heads * s.tokens * _INTEGER
    tags = s.rounds * index
    forward = Cost(0, s.rounds * (2 * (2 * vectors + tags) + index))
    gradient = Cost(0, s.rounds * (2 * (3 * vectors + tags + 2 * sums) + index))
    return Stage("laying out", forward, forward + gradient, part_of="attention")


def blocks(s: Sizes) -> Stage:
    """Products of queries, keys and values with mask and softmax, in blocks; two forward, and five for a gradient.

    Keys are made here of the queries, in each round.
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
    """Outputs of rounds gathered back to positions, weighed and added; back, both gradients of each round."""
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
    """The outputs of all heads to the width of the model."""
    product = 2 * s.tokens * s.channels * s.width
    heads, outputs = s.tokens * s.channels * s.itemsize, s.tokens * s.width * s.itemsize
    weights = s.channels * s.width * _WIDE
    forward = Cost(product, heads + weights + outputs)
    gradient = Cost(2 * product, outputs + 2 * heads + 2 * weights)
    return Stage("output projection", forward, forward + gradient)


def feed_forward(s: Sizes) -> Stage:
    """Two products with gelu between; forward and backward of a chunk together, so that it is computed once more."""
    inner = s.tokens * s.intermediate_dim
    products = 2 * 2 * inner * s.width
    values = s.tokens * s.width * s.itemsize
    weights = 2 * s.width * s.intermediate_dim * _WIDE
    # Biases are added to the inner values and to the outputs.
    added = inner + s.tokens * s.width
    forward = Cost(products + added + inner, 2 * values + weights, gelus=inner)
    # Input and gradient of the output are read, output and gradient of the input written. A product of the inner
    # gradient with gelu's, and the sums for both biases.
    backward = Cost(3 * products + 2 * added + 3 * inner, 4 * values + 2 * weights, gelus=2 * inner)
    return Stage("feed-forward", forward, backward)


def residual(s: Sizes) -> Stage:
    """Both branches added to the streams; back, taken off again, and their gradients added."""
    values = s.tokens * s.width
    added = Cost(values, values * (2 * _WIDE + s.itemsize))
    return Stage("residual sums", added.times(2), added.times(4))


def head(s: Sizes) -> Stage:
    """Vectors to logits and losses; back without the logits, which are too large to keep in general."""
    product = 2 * s.tokens * s.width * s.vocabulary_size
    values, scores = s.tokens * s.width * s.itemsize, s.tokens * s.vocabulary_size
    weights = s.width * s.vocabulary_size * _WIDE
    targets = s.tokens * _INTEGER
    # A bias, the largest, the difference to it, exp, the sum.
    forward = Cost(product + 5 * scores, values + weights + targets + s.tokens * _WIDE, exponentials=scores)
    gradient = Cost(3 * product + 7 * scores, 2 * values + 2 * weights + targets, exponentials=scores)
    return Stage("head and loss", forward, gradient, in_layer=False)

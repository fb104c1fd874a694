"""`block_group` for half precision on CPU: products by TensorFlow's own kernels, the operations between them compiled.

XLA's half-precision products are slow on CPU, those of oneDNN twice as fast as float32. So the computation of a group
is divided at its products: only elementwise operations and those along rows are compiled, with float32 inside.

If a query sees at most one of the two keys with the same index in two blocks (`Window.folds`), the logits of both
blocks are folded into one before the softmax, which halves the work.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import sums
from reformer_tf.ops.attention import block, block_group
from reformer_tf.ops.attention.block_group import Group, Rows
from reformer_tf.ops.execution import compiled_functions


def forward(group: Group, pays: Any) -> Callable[..., list[tf.Tensor]]:
    """Makes the same function as `block_group.forward`; where parts are compiled, outputs have the dtype of queries."""
    plain = block_group.forward(group, pays=False)
    if pays is False:
        return plain
    make_keys, softmax = (compiled_functions.compiled(make, group) for make in (_keys, _softmax))

    def attend(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags = own
        key_source, value, key_tags = seen
        logits = _logits(group, query, make_keys(key_source))
        *weights, log_sum_exp = softmax(logits, tags, key_tags, dropout)
        products = [tf.matmul(x, y) for x, y in zip(weights, _cut(group, value), strict=True)]
        return [sums.summed(products), log_sum_exp]

    def rounded(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        output, log_sum_exp = plain(own, seen, dropout)
        return [tf.cast(output, own[0].dtype), log_sum_exp]

    return _either(pays, attend, rounded)


def backward(group: Group, pays: Any) -> Callable[..., list[tf.Tensor]]:
    """Makes the same function as `block_group.backward`."""
    plain = block_group.backward(group, pays=False)
    if pays is False:
        return plain
    make_keys, gradients, folded = (compiled_functions.compiled(make, group) for make in (_keys, _gradients, _folded))

    def attend_gradient(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags, log_sum_exp, delta, upstream = own
        key_source, value, key_tags = seen
        key = make_keys(key_source)
        products = (_logits(group, query, key), _logits(group, upstream, value))
        weights, d_logits = gradients(*products, tags, key_tags, dropout, log_sum_exp, delta)
        d_query = [tf.matmul(x, y) for x, y in zip(d_logits, _cut(group, key), strict=True)]
        d_key = [tf.matmul(x, query, transpose_a=True) for x in d_logits]
        d_value = [tf.matmul(x, upstream, transpose_a=True) for x in weights]
        return folded(key_source, d_query, d_key, d_value)

    return _either(pays, attend_gradient, plain)


def _either(pays: Any, split: Callable, plain: Callable) -> Callable:
    """The first function if parts of it are compiled; both in a graph that decides when it runs."""
    if pays is True:
        return split
    return lambda *args: tf.cond(pays, lambda: split(*args), lambda: plain(*args))


def _cut(group: Group, rows: tf.Tensor) -> list[tf.Tensor]:
    return [group.neighbors.cut(rows, shift) for shift in group.neighbors.shifts]


def _logits(group: Group, query: tf.Tensor, rows: tf.Tensor) -> list[tf.Tensor]:
    """Computes products of the own rows with those at each shift, `[G, N, C, C]` each."""
    return [tf.matmul(query, x, transpose_b=True) for x in _cut(group, rows)]


def _keys(group: Group) -> Callable[[tf.Tensor], tf.Tensor]:
    return group.keys


def _softmax(group: Group) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes the probabilities at each shift and the log-sum-exps from logits."""

    def compute(
        logits: Sequence[tf.Tensor], tags: tf.Tensor, key_tags: tf.Tensor, dropout: tf.Tensor | None
    ) -> list[tf.Tensor]:
        pairs = _pairs(group, tags, key_tags, dropout)
        dtype = logits[0].dtype
        logits = [block.masked(x, known) for x, known in zip(_fold(group, logits), pairs, strict=True)]
        weights, largest, log_sum_exp = block.softmax(logits)
        scale = tf.exp(largest - log_sum_exp)
        weights = [block.after_dropout(x * scale, known, dtype) for x, known in zip(weights, pairs, strict=True)]
        return [*_unfold(group, weights), tf.squeeze(log_sum_exp, axis=-1)]

    return compute


def _gradients(group: Group) -> Callable[..., tuple[list[tf.Tensor], list[tf.Tensor]]]:
    """Makes the function that computes the probabilities and the gradients of the logits, at each shift.

    Its first arguments are the logits, and the products of the output's gradient and values.
    """

    def compute(
        logits: Sequence[tf.Tensor],
        products: Sequence[tf.Tensor],
        tags: tf.Tensor,
        key_tags: tf.Tensor,
        dropout: tf.Tensor | None,
        log_sum_exp: tf.Tensor,
        delta: tf.Tensor,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        dtype = logits[0].dtype
        weights, gradients = [], []
        folded = (_fold(group, logits), _fold(group, products), _pairs(group, tags, key_tags, dropout))
        for logit, product, known in zip(*folded, strict=True):
            weight, d_logits = block.logit_gradients(
                block.masked(logit, known), tf.cast(product, group.statistics), known, log_sum_exp, delta
            )
            weights.append(block.after_dropout(weight, known, dtype))
            gradients.append(tf.cast(d_logits, dtype))
        return _unfold(group, weights), _unfold(group, gradients)

    return compute


def _folded(group: Group) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes the results of `backward` from queries and the gradients at each shift."""

    def compute(
        key_source: tf.Tensor, d_query: Sequence[tf.Tensor], d_key: Sequence[tf.Tensor], d_value: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        d_query, d_key, d_value = ([tf.cast(x, group.statistics) for x in some] for some in (d_query, d_key, d_value))
        neighbors = group.neighbors
        return block_group.folded(group, key_source, tf.add_n(d_query), neighbors.fold(d_key), neighbors.fold(d_value))

    return compute


def _pairs(group: Group, tags: tf.Tensor, key_tags: tf.Tensor, dropout: tf.Tensor | None) -> list[block.Pairs]:
    """Computes the pairs at each shift, or the folded pairs."""
    pairs = [group.pairs(tags, x, dropout) for x in _cut(group, key_tags)]
    if not group.window.folds:
        return pairs
    fields = zip(*pairs, strict=True)
    return [block.Pairs(*(None if field[0] is None else _fold(group, field)[0] for field in fields))]


def _fold(group: Group, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Folds two blocks `[..., C, C]`: keys after a query's own index from the first, the others from the second."""
    if not group.window.folds:
        return list(parts)
    return [tf.where(_later(parts[0]), *parts)]


def _unfold(group: Group, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    if not group.window.folds:
        return list(parts)
    (part,) = parts
    later, zero = _later(part), tf.zeros([], part.dtype)
    return [tf.where(later, part, zero), tf.where(later, zero, part)]


def _later(part: tf.Tensor) -> tf.Tensor:
    """Boolean `[C, C]`, whether a key's index in its block is after the query's."""
    position = tf.range(part.shape[-1])
    return position[None, :] > position[:, None]

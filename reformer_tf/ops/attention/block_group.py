"""Forward and backward pass of one group of blocks, as pure functions made from a description without tensors.

All layers of a model that have the same description share the compiled functions. Queries come as the blocks of the
group, keys as these blocks and those beside them that they look at, so that a key is computed from its row only once.
See `reformer_tf.ops.attention.blocks` for the letters.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops.attention import block
from reformer_tf.ops.attention.blocks import Neighbors
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.windows import Window
from reformer_tf.ops.execution import compiled_functions

# A list of a group's tensors, `[G, N, C, ...]` or `[before + G + after, N, C, ...]`.
Rows = Sequence[tf.Tensor]


class Group(NamedTuple):
    """The description of a group's computation besides its tensors.

    The tags of a token are its segment, its position, and those of the window.

    Attributes:
        neighbors: which blocks a block looks at.
        window: what a query sees.
        segmented: whether the segment is a tag.
        dropout_rate: of the attention probabilities, or None. The position is then a tag.
        statistics: dtype of the softmax statistics.
        key: a function that makes keys from queries, row by row; or None, if keys are inputs.
    """

    neighbors: Neighbors
    window: Window
    segmented: bool
    dropout_rate: float | None
    statistics: tf.DType
    key: Callable[[tf.Tensor], tf.Tensor] | None = None

    def pairs(self, query_tags: tf.Tensor, key_tags: tf.Tensor, dropout: tf.Tensor | None) -> block.Pairs:
        """Tells which pairs count in a round, and how."""
        position = int(self.segmented)
        before = position + int(self.dropout_rate is not None)
        of_window = query_tags[..., before:], key_tags[..., before:]
        visible = self.window.visible(*of_window)
        if self.segmented:
            same = query_tags[..., :, None, 0] == key_tags[..., None, :, 0]
            visible = tf.logical_and(visible, same)
        keep = None
        if self.dropout_rate is not None:
            factors = PairDropout(self.dropout_rate, dropout).factors
            keep = factors(query_tags[..., position], key_tags[..., position], self.statistics)
        return block.Pairs(visible, keep, self.window.penalised(*of_window))

    def keys(self, key_source: tf.Tensor) -> tf.Tensor:
        """Makes keys from the rows that they are made of, unless these are the keys."""
        return key_source if self.key is None else self.key(key_source)

    def parts(self, query_tags: tf.Tensor, seen: Rows, dropout: tf.Tensor | None) -> list[block.Part]:
        """The window of each block in parts: keys, values and pairs at each shift."""
        key_source, value, tags = seen
        key = self.keys(key_source)
        cut = self.neighbors.cut
        return [
            block.Part(cut(key, shift), cut(value, shift), self.pairs(query_tags, cut(tags, shift), dropout))
            for shift in self.neighbors.shifts
        ]


def forward(group: Group, pays: Any) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes outputs `[G, N, C, D]` and log-sum-exps `[G, N, C]`, in the statistics dtype.

    Its arguments are the queries' own rows (queries, tags), the rows that they look at (keys, values, tags; queries
    instead of keys if `Group.key` makes the keys), and the keys of dropout or None.

    Args:
        group: the description of its computation.
        pays: whether it is compiled, see `compiled_functions.worth_compiling`.
    """
    return compiled_functions.compiled(_forward, group, pays=pays)


def backward(group: Group, pays: Any) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes gradients of queries, keys and values.

    Its arguments are those of `forward`; the own rows also hold the log-sum-exp of all rounds, delta (see
    `block.attend_gradient`) and the gradient of the output. The gradient of queries is `[G, N, C, D]`; those of keys
    and values include the blocks beside the group, `[before + G + after, N, C, D]`. If `Group.key` makes the keys, the
    gradient of queries includes their gradient and the blocks beside the group, and there is no gradient of keys.
    """
    return compiled_functions.compiled(_backward, group, pays=pays)


def _forward(group: Group) -> Callable[..., list[tf.Tensor]]:
    def attend(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags = own
        return list(block.attend(query, group.parts(tags, seen, dropout)))

    return attend


def _backward(group: Group) -> Callable[..., list[tf.Tensor]]:
    def attend_gradient(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags, log_sum_exp, delta, upstream = own
        parts = group.parts(tags, seen, dropout)
        d_query, d_keys, d_values = block.attend_gradient(query, parts, log_sum_exp, delta, upstream)
        return folded(group, seen[0], d_query, group.neighbors.fold(d_keys), group.neighbors.fold(d_values))

    return attend_gradient


def folded(
    group: Group, key_source: tf.Tensor, d_query: tf.Tensor, d_key: tf.Tensor, d_value: tf.Tensor
) -> list[tf.Tensor]:
    """Makes the results of `backward` from gradients of own queries, and of keys and values with the blocks beside."""
    results = [d_query, d_key, d_value]
    if group.key is not None:
        through = _through(group.key, tf.cast(key_source, d_key.dtype), d_key)
        results = [tf.cast(through, d_query.dtype) + group.neighbors.pad_own(d_query), d_value]
    return [tf.cast(x, key_source.dtype) for x in results]


def _through(make_key: Callable[[tf.Tensor], tf.Tensor], query: tf.Tensor, d_key: tf.Tensor) -> tf.Tensor:
    """Computes the gradient of queries from that of the keys that were made from them."""
    with tf.GradientTape() as tape:
        tape.watch(query)
        key = make_key(query)
    return tape.gradient(key, query, output_gradients=d_key)

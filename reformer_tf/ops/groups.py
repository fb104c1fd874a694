"""Forward and backward of one group of blocks, as pure functions made from a description without tensors.

Queries come as the blocks of the group, keys as the blocks at each shift, so that all are slices of a layout which need
no copy. See `reformer_tf.ops.grouping` for the letters.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import blocks
from reformer_tf.ops.grouping import Reach
from reformer_tf.ops.pair_dropout import PairDropout
from reformer_tf.ops.windows import Window

# A list of a group's tensors `[G, N, C, ...]`.
Rows = Sequence[tf.Tensor]


class Group(NamedTuple):
    """What the work of a group depends on besides tensors.

    Attributes:
        reach: which blocks a block looks at.
        window: who sees whom.
        number: of the pass.
        segment_tag: which tag is the segment, or None.
        dropout_rate: of the attention probabilities, or None. The last tag is then the position.
        statistics: dtype of the softmax statistics.
        key: makes keys of queries, row by row; or None, where keys are given.
        wide: whether products are computed in the statistics dtype, too. XLA's half-precision products are slow on CPU,
            and casts inside a compiled function cost little.
    """

    reach: Reach
    window: Window
    number: int
    segment_tag: int | None
    dropout_rate: float | None
    statistics: tf.DType
    key: Callable[[tf.Tensor], tf.Tensor] | None = None
    wide: bool = False

    def pairs(self, query_tags: tf.Tensor, key_tags: tf.Tensor, dropout: tf.Tensor | None) -> blocks.Pairs:
        """Which pairs count in this pass, and how."""
        visible = self.window.visible(self.number, query_tags, key_tags)
        if self.segment_tag is not None:
            same = query_tags[..., :, None, self.segment_tag] == key_tags[..., None, :, self.segment_tag]
            visible = tf.logical_and(visible, same)
        keep = None
        if self.dropout_rate is not None:
            factors = PairDropout(self.dropout_rate, dropout).factors
            keep = factors(query_tags[..., -1], key_tags[..., -1], self.statistics)
        return blocks.Pairs(visible, keep, self.window.penalised(query_tags, key_tags))

    def widened(self, x: tf.Tensor) -> tf.Tensor:
        """In the dtype of products."""
        return tf.cast(x, self.statistics) if self.wide else x

    def parts(self, query_tags: tf.Tensor, seen: Sequence[Rows], dropout: tf.Tensor | None) -> list[blocks.Part]:
        """The window of each block in parts: keys (or what keys are made of), values and tags at each shift."""
        return [
            blocks.Part(
                self.widened(key) if self.key is None else self.key(self.widened(key)),
                self.widened(value),
                self.pairs(query_tags, key_tags, dropout),
            )
            for key, value, key_tags in seen
        ]


def forward(group: Group) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that gives outputs `[G, N, C, D]` and log-sum-exps `[G, N, C]`, in the statistics dtype.

    Its arguments are the queries' own rows (queries, tags), for each shift the rows there (keys, values, tags; queries
    in place of keys where `Group.key` makes these), and the keys of dropout or None.
    """

    def attend(own: Rows, seen: Sequence[Rows], dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags = own
        return list(blocks.attend(group.widened(query), group.parts(tags, seen, dropout)))

    return attend


def backward(group: Group) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that gives gradients of queries, keys and values.

    Its arguments are those of `forward`; own rows have besides the log-sum-exp of all rounds, delta (see
    `blocks.attend_gradient`) and the gradient of the output. The gradient of queries is `[G, N, C, D]`; those of keys
    and values are on the blocks of a slice, `[before + G + after, N, C, D]`. Where `Group.key` makes the keys, the
    gradient of queries is on the blocks of a slice and complete, and there is none of keys.
    """

    def attend_gradient(own: Rows, seen: Sequence[Rows], dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags, log_sum_exp, delta, upstream = own
        d_query, d_keys, d_values = blocks.attend_gradient(
            group.widened(query),
            group.parts(tags, seen, dropout),
            log_sum_exp,
            delta,
            group.widened(upstream),
        )
        d_value = group.reach.fold(d_values)
        if group.key is None:
            results = [d_query, group.reach.fold(d_keys), d_value]
        else:
            through = [
                _through(group.key, group.widened(rows[0]), slope) for rows, slope in zip(seen, d_keys, strict=True)
            ]
            # From products in half precision, the keys' part is summed in it, too.
            results = [tf.cast(group.reach.fold(through), group.statistics) + group.reach.alone(d_query), d_value]
        return [tf.cast(x, query.dtype) for x in results]

    return attend_gradient


def _through(make_key: Callable[[tf.Tensor], tf.Tensor], query: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """The gradient of queries by the keys that were made of them."""
    with tf.GradientTape() as tape:
        tape.watch(query)
        key = make_key(query)
    return tape.gradient(key, query, output_gradients=slope)

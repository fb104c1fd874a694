"""Sums over tokens of exp(log-feature) times a vector, one for each feature, which neither overflow nor vanish.

A sum carries the largest logarithm of its feature, and stands for `exp(largest) * sums`, so that its largest term is
one. Nothing is ever subtracted from it, and no small number is added to keep it from zero.

With segments a sum is over the tokens of one run of equal segment ids only: runs follow one another, so of the tokens
before a place only those in the run of the last of them can be in the run of the next.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes

# The logarithm of the weight of a token that does not count: a number, since infinities would make NaNs. Whatever else
# is added to it in float32 leaves it as it is.
FLOOR = -1e30
# The run of no token.
NO_RUN = -1


class Sums(NamedTuple):
    """Sums of tokens for m features.

    Attributes:
        largest: `[..., m]`, the largest log-feature; `FLOOR` if no token counts.
        sums: `[..., m, P]`, over the tokens of exp(log-feature - largest) times the token's vector.
        run: int32 `[...]`, the run of the tokens, or None.
    """

    largest: tf.Tensor
    sums: tf.Tensor
    run: tf.Tensor | None = None

    def listed(self) -> list[tf.Tensor]:
        """The tensors, as variables of a loop; `Sums(*listed)` undoes it."""
        return [x for x in self if x is not None]


class Partial(NamedTuple):
    """What queries have seen so far: `exp(scale) * total` is the sum of their weights times vectors.

    Attributes:
        total: `[..., P]`.
        scale: `[..., 1]`; about `FLOOR` for queries that have seen nothing.
    """

    total: tf.Tensor
    scale: tf.Tensor


def floor(dtype: tf.DType) -> tf.Tensor:
    """`FLOOR` as a scalar tensor."""
    return tf.constant(FLOOR, dtype)


def with_one(value: tf.Tensor) -> tf.Tensor:
    """Values `[..., P]` with a one at the end, whose sum is that of the weights."""
    return tf.concat([value, tf.ones_like(value[..., :1])], axis=-1)


def floor_unless(visible: tf.Tensor | None, logs: tf.Tensor) -> tf.Tensor:
    """Log-features `[..., m]` where tokens count, boolean `[...]`, and `FLOOR` elsewhere."""
    if visible is None:
        return logs
    return tf.where(visible[..., None], logs, floor(logs.dtype))


def in_run(runs: tf.Tensor | None, run: tf.Tensor | None) -> tf.Tensor | None:
    """Which tokens, of runs `[..., l]`, are in one run `[...]`; None without runs."""
    return None if runs is None or run is None else tf.equal(runs, run[..., None])


def nothing(like: Sums) -> Sums:
    """Sums of no token."""
    run = None if like.run is None else tf.fill(tf.shape(like.run), NO_RUN)
    return Sums(tf.fill(tf.shape(like.largest), floor(like.largest.dtype)), tf.zeros_like(like.sums), run)


def summed(logs: tf.Tensor, vectors: tf.Tensor, runs: tf.Tensor | None, run: tf.Tensor | None) -> Sums:
    """Sums tokens.

    Args:
        logs: log-features `[..., l, m]`.
        vectors: `[..., l, P]`.
        runs: int32 `[..., l]`, of the tokens, or None.
        run: int32 `[...]`, the run that counts, or None.
    """
    logs = floor_unless(in_run(runs, run), logs)
    largest = tf.reduce_max(logs, axis=-2)
    weights = tf.exp(logs - largest[..., None, :])
    return Sums(largest, tf.matmul(weights, vectors, transpose_a=True), run)


def combined(earlier: Sums, later: Sums) -> Sums:
    """Sums of the tokens of both that are in the run of the later one."""
    largest_earlier = earlier.largest
    if later.run is not None:
        largest_earlier = floor_unless(tf.equal(earlier.run, later.run), largest_earlier)
    largest = tf.maximum(largest_earlier, later.largest)
    sums = tf.exp(largest_earlier - largest)[..., None] * earlier.sums
    sums += tf.exp(later.largest - largest)[..., None] * later.sums
    return Sums(largest, sums, later.run)


def before_each(first: Sums, parts: Sums, most: int) -> tuple[Sums, Sums]:
    """Combines the sums of successive parts.

    Args:
        first: of the tokens before all parts; `[N, ...]`.
        parts: of the tokens of each part; `[N, G, ...]`.
        most: at least G.

    Returns:
        The sums of all tokens before each part, `[N, G, ...]`, and those of all tokens, `[N, ...]`.
    """
    shifted, distance = parts, 1
    while distance < most:  # Each has those of `2 * distance` parts after a step.
        shifted, distance = combined(_moved(nothing(shifted), shifted, distance), shifted), 2 * distance
    first = _each(lambda x: x[:, None], first)
    through = combined(first, shifted)
    before = _each(lambda x, y: tf.concat([x, y[:, :-1]], axis=1), first, through)
    return before, _each(lambda x: x[:, -1], through)


def reversed_parts(sums: Sums) -> Sums:
    """Sums `[N, G, ...]` in the opposite order."""
    return _each(lambda x: tf.reverse(x, axis=[1]), sums)


def _each(function: Callable[..., tf.Tensor], *sums: Sums) -> Sums:
    """Applies a function to each tensor of sums."""
    return Sums(*(None if tensors[0] is None else function(*tensors) for tensors in zip(*sums, strict=True)))


def _moved(first: Sums, parts: Sums, distance: int) -> Sums:
    """Parts `[N, G, ...]` moved by `distance` along their axis, with those of `first` in the places left free."""
    count = shapes.sizes(parts.largest)[1]
    return _each(lambda x, y: shapes.ensured(tf.concat([x[:, :distance], y], axis=1)[:, :count], y.shape), first, parts)


def seen(logs: tf.Tensor, runs: tf.Tensor | None, sums: Sums) -> Partial:
    """What queries see of summed tokens.

    Args:
        logs: log-features `[..., l, m]` of the queries.
        runs: int32 `[..., l]`, of the queries, or None.
        sums: `[..., m, P]`.
    """
    logs = logs + sums.largest[..., None, :]
    scale = tf.reduce_max(logs, axis=-1, keepdims=True)
    total = tf.matmul(tf.exp(logs - scale), sums.sums)
    return Partial(total, floor_unless(in_run(runs, sums.run), scale))


def seen_by_one(logs: tf.Tensor, sums: Sums) -> Partial:
    """`seen` by one query each, of log-features `[..., m]`, without runs."""
    logs = logs + sums.largest
    scale = tf.reduce_max(logs, axis=-1, keepdims=True)
    # Distributing a small batched product among threads takes longer than the product itself.
    return Partial(tf.reduce_sum(tf.exp(logs - scale)[..., None] * sums.sums, axis=-2), scale)


def normalised(partial: Partial) -> tuple[tf.Tensor, tf.Tensor]:
    """Outputs `[..., P - 1]` of vectors whose last number is one, and the logarithms of sums of weights `[...]`.

    Queries that have seen nothing have the output zero and the logarithm `FLOOR`.
    """
    weighted, weight = partial.total[..., :-1], partial.total[..., -1:]
    something = tf.logical_and(partial.scale > 0.5 * FLOOR, weight > 0)
    weight = tf.where(something, weight, tf.ones_like(weight))
    output = tf.where(something, weighted / weight, tf.zeros_like(weighted))
    return output, tf.where(something, partial.scale + tf.math.log(weight), floor(weight.dtype))[..., 0]


def less_log_sum(logs: tf.Tensor, log_sum: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
    """Log-features of queries, such that the weights of all that a query sees add up to one.

    Args:
        logs: log-features `[..., m]`.
        log_sum: `[...]`, as `normalised` gives it.
        valid: boolean, broadcasts to `[...]`, which queries count; or None.

    Returns:
        `[..., m]`, `FLOOR` for queries that do not count or have seen nothing.
    """
    counts = log_sum > 0.5 * FLOOR
    if valid is not None:
        counts = tf.logical_and(valid, counts)
    return floor_unless(counts, logs - log_sum[..., None])


def upstream_of_weights(output: tf.Tensor, d_output: tf.Tensor, d_log_sum: tf.Tensor) -> tf.Tensor:
    """The vector `[..., P]` by whose product with [value, 1] a pair's weight, over their sum, changes the loss.

    Args:
        output: `[..., P - 1]`, as `normalised` gives it.
        d_output: its gradient.
        d_log_sum: `[...]`, the gradient of the second result of `normalised`.
    """
    own = d_log_sum - tf.reduce_sum(d_output * output, axis=-1)
    return tf.concat([d_output, own[..., None]], axis=-1)


def merged(first: Partial, second: Partial) -> Partial:
    """What queries have seen of two sets of tokens."""
    scale = tf.maximum(first.scale, second.scale)
    total = tf.exp(first.scale - scale) * first.total + tf.exp(second.scale - scale) * second.total
    return Partial(total, scale)


def weights_of_sums(logs: tf.Tensor, runs: tf.Tensor | None, sums: Sums) -> tf.Tensor:
    """The factors exp(log-feature + largest) of sums in products with tokens that they are seen by, `[..., l, m]`.

    Args:
        logs: log-features `[..., l, m]`, so normalised that no pair of a token and a summed one weighs more than one.
        runs: int32 `[..., l]`, of these tokens, or None.
        sums: `[..., m, P]`.
    """
    return tf.exp(floor_unless(in_run(runs, sums.run), logs + sums.largest[..., None, :]))

"""The decoding loop: tokens chosen from a decoder's logits are fed back to it, inside one graph.

Shape letters: B rows, V vocabulary, N new tokens.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from reformer_tf.generation.decoder import Decoder

# Maps logits `[B, V]`, positions `[B]` and the tokens seen so far, `[B, V]` (or None), to ids `[B]`.
Choose: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]

# Stands for a token after the end of a row.
NOTHING = -1


class Progress(NamedTuple):
    """The progress of rows.

    Attributes:
        tokens: int32 `[B]`, each row's last token, not fed to the decoder yet.
        positions: int32 `[B]`, the positions of these tokens; for rows that ended, a position that is in use already.
        left: int32 `[B]`, how many tokens a row may still get; 0 for rows that ended.
        seen: bool `[B, V]`, the tokens that each row has, or `[B, 0]` if the sampler does not need them.
        state: of the decoder.
    """

    tokens: tf.Tensor
    positions: tf.Tensor
    left: tf.Tensor
    seen: tf.Tensor
    state: Any


def go_on(
    decoder: Decoder,
    logits: tf.Tensor,
    state: Any,
    lengths: tf.Tensor,
    limits: tf.Tensor,
    choose: Choose,
    stop_tokens: tf.Tensor,
) -> tf.Tensor:
    """Generates in one graph, after the prompts: one token of each row at a time, until all rows end.

    Args:
        decoder: of the model.
        logits: float32 `[B, V]`, of the first tokens after the prompts.
        state: the decoder's state after the prompts; written in place. All but one of a row's new tokens must fit it.
        lengths: int32 `[B]`, the positions of the first new tokens.
        limits: int32 `[B]`, how many tokens each row may get, at least 1.
        choose: chooses tokens; its third argument is None.
        stop_tokens: int32 `[T]`, or `[B, T]`, of each row its own.

    Returns:
        int32 `[B, N]`, the new tokens, N the largest limit, and `NOTHING` after the end of a row.
    """
    progress = begin(logits, state, None, lengths, limits, choose, stop_tokens, looks_back=False)
    later, _ = run(decoder, progress, tf.reduce_max(limits) - 1, choose, stop_tokens)
    return tf.concat([progress.tokens[:, None], later], axis=1)


def begin(
    logits: tf.Tensor,
    state: Any,
    ids: tf.Tensor | None,
    lengths: tf.Tensor,
    limits: tf.Tensor,
    choose: Choose,
    stop_tokens: tf.Tensor,
    looks_back: bool,
) -> Progress:
    """Chooses the first token of each row.

    Args:
        logits: float32 `[B, V]`, of the first tokens after the prompts.
        state: the decoder's state after the prompts.
        ids: int32 `[B, L]`, the prompts; None if `looks_back` is False.
        lengths: int32 `[B]`.
        limits: int32 `[B]`, how many tokens each row may get, at least 1.
        choose: chooses tokens.
        stop_tokens: int32 `[T]`, or `[B, T]`, of each row its own; a row ends with the first of them.
        looks_back: whether `choose` needs the tokens seen so far.
    """
    seen = None
    if looks_back:
        batch, vocabulary = tf.unstack(tf.shape(logits))
        # One column more, for padding.
        columns = tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), ids, vocabulary)
        rows = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(ids))
        indices, there = tf.stack([rows, columns], axis=-1), tf.ones_like(ids, tf.bool)
        seen = tf.tensor_scatter_nd_update(tf.zeros([batch, vocabulary + 1], tf.bool), indices, there)[:, :-1]
    tokens = choose(logits, lengths, seen)
    left = _left(limits, tokens, stop_tokens)
    return Progress(
        tokens,
        tf.where(left > 0, lengths, lengths - 1),
        left,
        tf.zeros([tf.shape(logits)[0], 0], tf.bool) if seen is None else _seen(seen, tokens),
        state,
    )


def run(
    decoder: Decoder, progress: Progress, count: tf.Tensor, choose: Choose, stop_tokens: tf.Tensor
) -> tuple[tf.Tensor, Progress]:
    """Runs decoding steps until every row has ended, or got `count` tokens.

    Args:
        decoder: of the model.
        progress: of the rows; its state is written in place.
        count: N, int32 scalar, the most tokens to add.
        choose: chooses tokens.
        stop_tokens: int32 `[T]` or `[B, T]`.

    Returns:
        int32 `[B, N]`, the tokens chosen, `NOTHING` after the end of a row, and the progress.
    """
    looks_back = progress.seen.shape[1] != 0

    def step(index: tf.Tensor, progress: Progress, found: tf.Tensor) -> tuple[tf.Tensor, Progress, tf.Tensor]:
        # A row that ended writes at the same position again and again, which no other row or step reads.
        goes_on = progress.left > 0
        logits, state = decoder.step(progress.tokens, progress.positions, progress.state)
        next_positions = progress.positions + 1
        chosen = choose(logits, next_positions, progress.seen if looks_back else None)
        tokens = tf.where(goes_on, chosen, progress.tokens)
        left = tf.where(goes_on, _left(progress.left, tokens, stop_tokens), 0)
        positions = tf.where(left > 0, next_positions, progress.positions)
        seen = _seen(progress.seen, tokens) if looks_back else progress.seen
        found = tf.tensor_scatter_nd_update(found, index[None, None], tf.where(goes_on, tokens, NOTHING)[None])
        return index + 1, Progress(tokens, positions, left, seen, state), found

    # At least one column, because TensorFlow refuses a loop that writes into none, even if it runs no step.
    found = tf.fill([tf.maximum(count, 1), tf.shape(progress.tokens)[0]], NOTHING)
    _, progress, found = tf.while_loop(
        lambda index, progress, _: (index < count) & tf.reduce_any(progress.left > 0),
        step,
        (tf.constant(0), progress, found),
        parallel_iterations=1,  # A step overwrites the state that the step before read.
    )
    return tf.transpose(found[:count]), progress


def _left(limits: tf.Tensor, tokens: tf.Tensor, stop_tokens: tf.Tensor) -> tf.Tensor:
    """The number of tokens that rows may still get after these."""
    ended = tf.reduce_any(tokens[:, None] == stop_tokens, axis=1)
    return tf.where(ended, 0, limits - 1)


def _seen(seen: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    return seen | tf.one_hot(tokens, tf.shape(seen)[1], True, False, dtype=tf.bool)

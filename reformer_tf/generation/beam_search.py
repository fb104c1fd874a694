"""Beam search over a decoder, inside one graph.

Each row has its own number of beams; K is the largest of them. A row finds what it would find with K of its own: beams
and candidates beyond its own number have no score.

Shape letters: B rows, K beams, V vocabulary, N new tokens, T stop tokens.
"""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.generation.decoder import Decoder, DecodingState
from reformer_tf.generation.token_loop import NOTHING


class _Pool(NamedTuple):
    """A set of K continuations of each row.

    Attributes:
        scores: float32 `[B, K]`, minus infinity if a row has fewer.
        tokens: int32 `[B, K, N]`, `NOTHING` beyond the end of a continuation.
    """

    scores: tf.Tensor
    tokens: tf.Tensor

    def best(self, count: int) -> "_Pool":
        scores, indices = tf.math.top_k(self.scores, count)
        return _Pool(scores, tf.gather(self.tokens, indices, batch_dims=1))


def search(
    decoder: Decoder,
    logits: tf.Tensor,
    state: DecodingState,
    lengths: tf.Tensor,
    limits: tf.Tensor,
    num_beams: tf.Tensor,
    length_penalty: tf.Tensor,
    stop_tokens: tf.Tensor,
) -> tf.Tensor:
    """Finds the best continuation of each row.

    Args:
        decoder: of the model.
        logits: float32 `[B, V]`, of the first tokens after the prompts.
        state: the decoder's state after the prompts. N - 1 more tokens must fit it in each row.
        lengths: int32 `[B]`, the positions of the first new tokens.
        limits: int32 `[B]`, the most tokens to add, at least 1; N is the largest.
        num_beams: int32 `[B]`, the number of beams, see `samplers.BeamSearch`.
        length_penalty: float32 `[B]`, see there.
        stop_tokens: int32 `[T]`, or `[B, T]`, of each row its own; a continuation ends with the first of them.

    Returns:
        int32 `[B, N]`, `NOTHING` beyond a continuation's end.
    """
    beams, count, vocabulary = tf.reduce_max(num_beams), tf.reduce_max(limits), logits.shape[-1]
    batch = tf.shape(logits)[0]
    stops = stop_tokens if stop_tokens.shape.rank == 1 else stop_tokens[:, None]
    # Enough for all continuations that may end, and all beams that go on.
    candidates = num_beams * (1 + tf.shape(stop_tokens)[-1])

    def best(scores: tf.Tensor, most: tf.Tensor, own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The `most` best scores of each row, minus infinity beyond the row's own number, and their indices."""
        scores, indices = tf.math.top_k(scores, most)
        return tf.where(tf.range(most) < own[:, None], scores, -float("inf")), indices

    def worth(scores: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Scores `[B, n]`, with the penalty of a length, a scalar or `[B]`."""
        divisor = ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** length_penalty
        return scores / divisor[:, None]

    def choose(index: tf.Tensor, logits: tf.Tensor, live: _Pool, done: _Pool) -> tuple[tf.Tensor, _Pool, _Pool]:
        """Extends all beams by all tokens; returns parents of the beams that go on, these beams, and the ended ones."""
        scores = live.scores[:, :, None] + tf.nn.log_softmax(tf.reshape(logits, [batch, beams, vocabulary]))
        most = tf.minimum(tf.reduce_max(candidates), beams * vocabulary)
        scores, indices = best(tf.reshape(scores, [batch, beams * vocabulary]), most, candidates)
        chosen, parents = indices % vocabulary, indices // vocabulary
        tokens = tf.gather(live.tokens, parents, batch_dims=1)
        tokens = tf.where(tf.range(count) == index, chosen[:, :, None], tokens)
        ends = tf.reduce_any(chosen[:, :, None] == stops, axis=-1) | (index + 1 == limits)[:, None]
        ended = _Pool(tf.where(ends, worth(scores, index + 1), -float("inf")), tokens)
        done = _Pool(*(tf.concat(both, axis=1) for both in zip(done, ended, strict=True))).best(beams)
        going, selected = best(tf.where(ends, -float("inf"), scores), beams, num_beams)
        live = _Pool(going, tf.gather(tokens, selected, batch_dims=1))
        return tf.gather(parents, selected, batch_dims=1), live, done

    def step(index: tf.Tensor, parents: tf.Tensor, live: _Pool, done: _Pool, state: DecodingState) -> tuple:
        rows = tf.reshape(tf.range(batch)[:, None] * beams + parents, [-1])
        state = state._replace(tokens=tf.nest.map_structure(lambda x: tf.gather(x, rows), state.tokens))
        tokens = tf.reshape(tf.maximum(tf.gather(live.tokens, index - 1, axis=2), 0), [-1])
        logits, state = decoder.step(tokens, tf.repeat(lengths, beams) + index - 1, state)
        return (index + 1, *choose(index, logits, live, done), state)

    def may_improve(index: tf.Tensor, parents: tf.Tensor, live: _Pool, done: _Pool, state: DecodingState) -> tf.Tensor:
        # Sums of log-probabilities only fall, and a length penalty raises the score most at the largest length.
        return (index < count) & tf.reduce_any(worth(live.scores[:, :1], limits) > done.scores[:, :1])

    none = tf.fill([batch, beams], -float("inf"))
    empty = tf.fill([batch, beams, count], NOTHING)
    start = tf.where(tf.range(beams) == 0, tf.zeros_like(none), none)  # All beams start as the prompt: only one counts.
    state = state._replace(tokens=tf.nest.map_structure(lambda x: tf.repeat(x, beams, axis=0), state.tokens))
    first = choose(tf.constant(0), tf.repeat(logits, beams, axis=0), _Pool(start, empty), _Pool(none, empty))
    done = tf.while_loop(may_improve, step, (tf.constant(1), *first, state), parallel_iterations=1)[3]
    return done.tokens[:, 0]

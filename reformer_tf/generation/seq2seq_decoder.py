"""Decoders of a model that maps one sequence to another: the encoder once, then one target token of each row at a time.

A learnt vector stands before the target, at position 0. So the prompts of these decoders are the sources; the first new
token has position 1, as that after a prompt of one token.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from reformer_tf.generation import cached_layers
from reformer_tf.generation.cached_layers import CachedLayers
from reformer_tf.generation.decoder import Decoder, DecodingState, with_tokens
from reformer_tf.ops import shapes

# Maps ids of padded sources, int32 `[B, S]`, and their mask, boolean `[B, S]`, to the vectors `[B, S, M]`.
Encode: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_decoder(model: Any, encode: Encode | None = None) -> Decoder:
    """Makes the decoder of a `ReformerSeq2Seq`.

    Args:
        model: the model.
        encode: runs its encoder; by default on all rows together.
    """
    kind = CachedTargets if cached_layers.have_caches(model.decoder) else RepeatedTargets
    return kind(model, encode or model.encode)


def _encoded(encode: Encode, ids: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The encoder's vectors `[B, S, M]` of padded sources, and their mask."""
    mask = tf.sequence_mask(lengths, shapes.sizes(ids)[1])
    return encode(ids, mask), mask


class CachedTargets:
    """Runs only new tokens, with the caches of self-attention, and keys and values of the source computed once.

    Args:
        model: a `ReformerSeq2Seq` whose decoder's self-attention has caches.
        encode: runs its encoder.
    """

    def __init__(self, model: Any, encode: Encode):
        self._model = model
        self._encode = encode
        self._layers = CachedLayers(model.decoder, model.head)

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, DecodingState]:
        context, mask = _encoded(self._encode, ids, lengths)
        contexts = [layer.context_state(context, mask) for layer in self._layers.cross_attention]
        embedded = self._model.decoder.get_layer("shifted_embedding").first(shapes.sizes(ids)[0])
        vectors, states = self._layers.prefill(embedded, tf.ones_like(lengths), capacity, contexts)
        return self._layers.logits(vectors), DecodingState(states, contexts)

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: DecodingState) -> tuple[tf.Tensor, DecodingState]:
        logits, states = self._layers.step(tokens, positions, state.tokens, state.context)
        return logits, state._replace(tokens=states)


class RepeatedTargets:
    """Runs each row's target again from its start, for self-attention in which a longer target changes earlier outputs.

    Args:
        model: a `ReformerSeq2Seq`.
        encode: runs its encoder.
    """

    def __init__(self, model: Any, encode: Encode):
        self._model = model
        self._encode = encode

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, DecodingState]:
        context, mask = _encoded(self._encode, ids, lengths)
        targets = tf.zeros([shapes.sizes(ids)[0], capacity], tf.int32)
        state = DecodingState({"ids": targets}, {"vectors": context, "mask": mask})
        return self._logits(targets, tf.zeros_like(lengths), state), state

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: DecodingState) -> tuple[tf.Tensor, DecodingState]:
        targets = with_tokens(state.tokens["ids"], tokens, positions - 1)
        return self._logits(targets, positions, state), state._replace(tokens={"ids": targets})

    def _logits(self, targets: tf.Tensor, lengths: tf.Tensor, state: DecodingState) -> tf.Tensor:
        """The logits of the token after each target `[B * K, S]`, of which the first tokens are there."""
        rows = tf.shape(targets)[0]
        continuations = rows // tf.maximum(tf.shape(state.context["mask"])[0], 1)

        def row_logits(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            ids, length, index = row
            context, mask = (state.context[name][index][None] for name in ("vectors", "mask"))
            # The vector at a position is that of the tokens before it, so the last id may be any.
            vectors = self._model.decoder(ids[None, : length + 1], context=context, context_mask=mask)
            return tf.cast(self._model.head(vectors[:, -1:])[0, 0], tf.float32)

        return tf.map_fn(
            row_logits,
            (targets, lengths, tf.range(rows) // tf.maximum(continuations, 1)),
            fn_output_signature=tf.TensorSpec([self._model.head.vocabulary_size], tf.float32),
            parallel_iterations=1,  # One row at a time bounds the memory.
        )

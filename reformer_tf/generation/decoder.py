"""Decoders of a causal model: prompts at once, then one token of each row at a time.

Results equal the logits of the model on the whole sequence. There are two decoders: one with the caches of the
attention layers, at a cost per token that does not grow with the context (except for full attention); and one that runs
the prefix again, for layers without a cache.

Shape letters: B rows, L length of the longest prompt, S capacity (the number of positions that will be used at most), V
vocabulary.
"""

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.generation import cached_layers
from reformer_tf.generation.cached_layers import CachedLayers
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import in_place


class DecodingState(NamedTuple):
    """What a decoder stores of rows. Both are nests of tensors whose first axis is that of rows.

    Attributes:
        tokens: of the tokens so far; of each continuation its own, where a row has several.
        context: of the sequence that cross-attention attends to; all continuations of a row share it, and no step
            changes it. Empty if there is none.
    """

    tokens: Any
    context: Any = ()


class Decoder(Protocol):
    """The interface of a decoder."""

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, DecodingState]:
        """Runs the model on prompts.

        Args:
            ids: int32 `[B, L]`, each row padded at its end with any id of the vocabulary.
            lengths: int32 `[B]`, 1 to L.
            capacity: S, at least L.

        Returns:
            The logits of the token after each prompt, float32 `[B, V]`, and the state.
        """

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: DecodingState) -> tuple[tf.Tensor, DecodingState]:
        """Runs the model on one more token of each row.

        Args:
            tokens: int32 `[B]`.
            positions: int32 `[B]`, their positions, right after the tokens before.
            state: of the tokens before; that of the tokens is written in place.

        Returns:
            The logits of the next token, float32 `[B, V]`, and the next state.
        """


def make_decoder(model: Any) -> Decoder:
    """Makes the decoder of a `ReformerCausalLM`."""
    return CachedDecoder(model) if has_caches(model) else PrefixDecoder(model)


def has_caches(model: Any) -> bool:
    """Whether all attention layers have a cache, so that the prefix need not run again."""
    return cached_layers.have_caches(model.backbone)


class CachedDecoder:
    """Runs only new tokens, with the caches of the attention layers.

    Args:
        model: a `ReformerCausalLM` whose attention layers all have a cache.
    """

    def __init__(self, model: Any):
        self._layers = CachedLayers(model.backbone, model.head)

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, DecodingState]:
        vectors, states = self._layers.prefill(self._layers.embedding(ids), lengths, capacity)
        return self._layers.logits(vectors), DecodingState(states)

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: DecodingState) -> tuple[tf.Tensor, DecodingState]:
        logits, states = self._layers.step(tokens, positions, state.tokens)
        return logits, state._replace(tokens=states)


class PrefixDecoder:
    """Runs each row's prefix again at its own length, since padding may change earlier outputs.

    Args:
        model: a `ReformerCausalLM`.
    """

    def __init__(self, model: Any):
        self._model = model

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, DecodingState]:
        padded = tf.pad(ids, [[0, 0], [0, capacity - shapes.sizes(ids)[1]]])
        # A new tensor, for steps to write into in place: padding by nothing would return `ids` itself.
        prefix = tf.where(tf.sequence_mask(lengths, capacity), padded, 0)
        return self._logits(prefix, lengths), DecodingState({"ids": prefix})

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: DecodingState) -> tuple[tf.Tensor, DecodingState]:
        prefix = with_tokens(state.tokens["ids"], tokens, positions)
        return self._logits(prefix, positions + 1), DecodingState({"ids": prefix})

    def _logits(self, prefix: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        def row_logits(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            ids, length = row
            vectors = self._model.backbone(ids[None, :length])
            return tf.cast(self._model.head(vectors[:, -1:])[0, 0], tf.float32)

        vocabulary = self._model.backbone.config["vocabulary_size"]
        return tf.map_fn(
            row_logits,
            (prefix, lengths),
            fn_output_signature=tf.TensorSpec([vocabulary], tf.float32),
            parallel_iterations=1,  # One row at a time bounds the memory.
        )


def with_tokens(prefix: tf.Tensor, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Writes one token of each row, int32 `[B]`, into ids `[B, S]` at its position, in place."""
    batch, capacity = shapes.sizes(prefix)
    flat = in_place.set_rows(tf.reshape(prefix, [-1]), tf.range(batch) * capacity + positions, tokens)
    return tf.ensure_shape(tf.reshape(flat, [batch, capacity]), prefix.shape)

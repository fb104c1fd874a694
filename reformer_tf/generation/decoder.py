"""Decoders of a causal model: prompts at once, then one token of each row at a time.

Results equal the logits of the model on the whole sequence. There are two decoders: one with the caches of the
attention layers, at a cost per token that does not grow with the context (except for full attention); and one that runs
the prefix again, for layers without a cache.

Shape letters: B rows, L length of the longest prompt, S capacity (the number of positions that will be used at most), V
vocabulary.
"""

from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from reformer_tf.generation.traced_layers import TracedLayers
from reformer_tf.layers.attention import decoding
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.ops import shapes
from reformer_tf.ops.caches import State, StepIndices
from reformer_tf.ops.execution import in_place, row_chunks


class Decoder(Protocol):
    """The interface of a decoder. A state is a nest of tensors whose first axis is the batch."""

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, Any]:
        """Runs the model on prompts.

        Args:
            ids: int32 `[B, L]`, each row padded at its end with any id of the vocabulary.
            lengths: int32 `[B]`, 1 to L.
            capacity: S, at least L.

        Returns:
            The logits of the token after each prompt, float32 `[B, V]`, and the state.
        """

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        """Runs the model on one more token of each row.

        Args:
            tokens: int32 `[B]`.
            positions: int32 `[B]`, their positions, right after the tokens before.
            state: of the tokens before; written in place.

        Returns:
            The logits of the next token, float32 `[B, V]`, and the next state.
        """


def make_decoder(model: Any) -> Decoder:
    """Makes the decoder of a `ReformerCausalLM`."""
    return CachedDecoder(model) if has_caches(model) else PrefixDecoder(model)


def has_caches(model: Any) -> bool:
    """Whether all attention layers have a cache, so that the prefix need not run again."""
    return all(
        isinstance(branch, ResidualBranch)
        and isinstance(branch.layer, SelfAttention)
        and branch.layer.cache() is not None
        for branch in model.backbone.get_layer("stack").branches[::2]
    )


class CachedDecoder:
    """Runs only new tokens, with the caches of the attention layers.

    Args:
        model: a `ReformerCausalLM` whose attention layers all have a cache.
    """

    def __init__(self, model: Any):
        self._head = model.head
        self._embedding = model.backbone.token_embedding
        layers = {layer.name: layer for layer in model.backbone.layers}
        self._positions = layers.get("position_embedding")
        self._stack = layers["stack"]
        self._normalization = layers["final_norm"]

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, Any]:
        x = self._embedding(ids)
        if self._positions is not None:
            x = self._positions(x)
        # Traced once for all equal layers, since prefill is the larger part of an exported graph.
        attend = TracedLayers(lambda layer, x: decoding.prefill(layer.layer, layer.normalization(x), lengths, capacity))
        x, states = self._through_the_stack(x, attend, TracedLayers(_call))
        return self._logits(tf.gather(x, lengths - 1, batch_dims=1)[:, None]), states

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        states, indices = iter(state), StepIndices(positions)

        def attend(layer: ResidualBranch, x: tf.Tensor) -> tuple[tf.Tensor, State]:
            return decoding.step(layer.layer, layer.normalization(x), indices, next(states))

        with row_chunks.at_most(1):  # One token of each row needs no chunks.
            x = self._embedding(tokens[:, None])
            if self._positions is not None:
                x = self._positions.add(x, positions[:, None])
            x, after = self._through_the_stack(x, attend, _call)
            return self._logits(x), after

    def _through_the_stack(
        self,
        x: tf.Tensor,
        attend: Callable[[Any, tf.Tensor], tuple[tf.Tensor, State]],
        feed_forward: Callable[[Any, tf.Tensor], tf.Tensor],
    ) -> tuple[tf.Tensor, list[State]]:
        """Computes `ReversibleStack` in inference, with functions of its branches that also return attention states."""
        x1 = x2 = tf.cast(x, shapes.statistics_dtype(x.dtype))
        states = []
        for f, g in zip(self._stack.branches[::2], self._stack.branches[1::2], strict=True):
            update, state = attend(f, x2)
            states.append(state)
            x1 += tf.cast(update, x1.dtype)
            x2 += tf.cast(feed_forward(g, x1), x2.dtype)
        return self._stack.combine(x1, x2), states

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        """Computes logits `[B, V]` of one vector of each row, `[B, 1, M]`."""
        return tf.cast(self._head(self._normalization(x))[:, 0], tf.float32)


def _call(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    return layer(x)


class PrefixDecoder:
    """Runs each row's prefix again at its own length, since padding may change earlier outputs.

    Args:
        model: a `ReformerCausalLM`.
    """

    def __init__(self, model: Any):
        self._model = model

    def prefill(self, ids: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size) -> tuple[tf.Tensor, Any]:
        padded = tf.pad(ids, [[0, 0], [0, capacity - shapes.sizes(ids)[1]]])
        # A new tensor, for steps to write into in place: padding by nothing would return `ids` itself.
        prefix = tf.where(tf.sequence_mask(lengths, capacity), padded, 0)
        return self._logits(prefix, lengths), {"ids": prefix}

    def step(self, tokens: tf.Tensor, positions: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        batch, capacity = shapes.sizes(state["ids"])
        flat = in_place.set_rows(tf.reshape(state["ids"], [-1]), tf.range(batch) * capacity + positions, tokens)
        prefix = tf.ensure_shape(tf.reshape(flat, [batch, capacity]), state["ids"].shape)
        return self._logits(prefix, positions + 1), {"ids": prefix}

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

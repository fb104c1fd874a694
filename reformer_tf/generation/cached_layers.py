"""The layers of a backbone in decoding: prompts at once, then one token of each row at a time, with caches.

Shape letters: B rows, L length of the longest prompt, S capacity, V vocabulary, M width.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.generation.traced_layers import TracedLayers
from reformer_tf.layers.attention import decoding
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.ops import shapes
from reformer_tf.ops.caches import State, StepIndices
from reformer_tf.ops.execution import row_chunks

_Attend = Callable[[Any, tf.Tensor], tuple[tf.Tensor, State]]


def have_caches(backbone: Any) -> bool:
    """Whether a backbone has blocks of residual branches, and all self-attention has a cache."""
    branches = backbone.get_layer("stack").branches
    if not all(isinstance(branch, ResidualBranch) for branch in branches):
        return False
    attention = [branch.layer for branch in branches if isinstance(branch.layer, SelfAttention)]
    sizes = backbone.get_layer("stack").block_sizes
    return len(attention) == len(sizes) and all(layer.cache() is not None for layer in attention)


class CachedLayers:
    """The layers of a backbone and a head, of which decoding runs only new tokens.

    Args:
        backbone: a `ReformerBackbone`, or a `ReformerDecoder`, whose self-attention has caches.
        head: maps the backbone's vectors to logits.
    """

    def __init__(self, backbone: Any, head: Any):
        self._head = head
        self.embedding = backbone.token_embedding
        layers = {layer.name: layer for layer in backbone.layers}
        self._positions = layers.get("position_embedding")
        self._stack = layers["stack"]
        self._normalization = layers["final_norm"]

    @property
    def cross_attention(self) -> list[CrossAttention]:
        """The layers that attend to a context, one after another."""
        return [branch.layer for branch in self._stack.branches if _attends_to_context(branch)]

    def prefill(
        self, embedded: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size, contexts: Sequence[State] = ()
    ) -> tuple[tf.Tensor, list[State]]:
        """Runs embedded prompts.

        Args:
            embedded: `[B, L, M]`, without positions.
            lengths: int32 `[B]`, 1 to L.
            capacity: S, at least L.
            contexts: what each layer with cross-attention stores of its context. With these L must be 1.

        Returns:
            The vector of the last token of each prompt, `[B, 1, M]`, and the states of self-attention.
        """
        x = embedded if self._positions is None else self._positions(embedded)
        # Traced once for all equal layers, since prefill is the larger part of an exported graph.
        attend = TracedLayers(lambda layer, x: decoding.prefill(layer.layer, layer.normalization(x), lengths, capacity))
        x, states = self._through_the_stack(x, attend, TracedLayers(_decode), TracedLayers(_call), contexts)
        return tf.gather(x, lengths - 1, batch_dims=1)[:, None], states

    def step(
        self, tokens: tf.Tensor, positions: tf.Tensor, states: Sequence[State], contexts: Sequence[State] = ()
    ) -> tuple[tf.Tensor, list[State]]:
        """Runs one more token of each row.

        Args:
            tokens: int32 `[B]`.
            positions: int32 `[B]`.
            states: of self-attention, for the tokens before; written in place.
            contexts: as in `prefill`, of B rows, or of fewer of which each has the same number of continuations.

        Returns:
            The logits of the next token, float32 `[B, V]`, and the next states.
        """
        remaining, indices = iter(states), StepIndices(positions)

        def attend(layer: ResidualBranch, x: tf.Tensor) -> tuple[tf.Tensor, State]:
            return decoding.step(layer.layer, layer.normalization(x), indices, next(remaining))

        with row_chunks.at_most(1):  # One token of each row needs no chunks.
            x = self.embedding(tokens[:, None])
            if self._positions is not None:
                x = self._positions.add(x, positions[:, None])
            x, after = self._through_the_stack(x, attend, _decode, _call, contexts)
            return self.logits(x), after

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """Computes logits `[B, V]` of one vector of each row, `[B, 1, M]`."""
        return tf.cast(self._head(self._normalization(x))[:, 0], tf.float32)

    def _through_the_stack(
        self,
        x: tf.Tensor,
        attend: _Attend,
        attend_to_context: Callable[[Any, tf.Tensor, State], tf.Tensor],
        feed_forward: Callable[[Any, tf.Tensor], tf.Tensor],
        contexts: Sequence[State],
    ) -> tuple[tf.Tensor, list[State]]:
        """Computes `ReversibleStack` in inference, with functions of its branches that also return attention states."""
        streams = [tf.cast(x, shapes.statistics_dtype(x.dtype))] * 2
        states, remaining = [], iter(contexts)
        for index, branch in enumerate(self._stack.branches):
            target, source = index % 2, streams[1 - index % 2]
            if isinstance(branch.layer, SelfAttention):
                update, state = attend(branch, source)
                states.append(state)
            elif _attends_to_context(branch):
                update = attend_to_context(branch, source, next(remaining))
            else:
                update = feed_forward(branch, source)
            streams[target] += tf.cast(update, streams[target].dtype)
        return self._stack.combine(*streams), states


def _attends_to_context(branch: ResidualBranch) -> bool:
    return isinstance(branch.layer, CrossAttention)


def _call(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    return layer(x)


def _decode(layer: ResidualBranch, x: tf.Tensor, context: State) -> tf.Tensor:
    return layer.layer.decode(layer.normalization(x), context)

"""Self-attention over a growing sequence: a prompt at once, then one token at a time, with a cache.

Both functions give the outputs of the layer itself at those positions in inference. The layer must have a cache.

Shape letters: B rows, L length of the longest prompt, M width, S capacity (the number of positions that will be used at
most).
"""

import tensorflow as tf

from reformer_tf.layers.attention.base import Call, SelfAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.ops import shapes
from reformer_tf.ops.attention import windowed
from reformer_tf.ops.caches import Cache, State, StepIndices, Vectors


def prefill(
    layer: SelfAttention, inputs: tf.Tensor, lengths: tf.Tensor, capacity: shapes.Size
) -> tuple[tf.Tensor, State]:
    """Runs a layer over prompts.

    Args:
        layer: a built layer with a cache.
        inputs: `[B, L, M]`; vectors beyond a prompt's length do not matter.
        lengths: int32 `[B]`, 1 to L.
        capacity: S, at least L.

    Returns:
        `[B, L, M]`, and the state of the cache.
    """
    heads, call = Heads(0, layer.num_heads), _inference(layer)
    vectors = layer.project(inputs, heads, None)
    buckets = layer.buckets(vectors[0], heads, call, shapes.sizes(inputs)[1])
    outputs = layer.merge(layer.attend_heads(vectors, heads, call, buckets), heads)
    return outputs, _cache(layer).fill(_complete(vectors, buckets), lengths, capacity)


def step(layer: SelfAttention, inputs: tf.Tensor, indices: StepIndices, state: State) -> tuple[tf.Tensor, State]:
    """Runs a layer over one more token of each row.

    Args:
        layer: a built layer with a cache.
        inputs: `[B, 1, M]`.
        indices: of the tokens; positions are below S.
        state: of the tokens before; written in place.

    Returns:
        `[B, 1, M]`, and the next state.
    """
    heads = Heads(0, layer.num_heads)
    vectors = layer.project(inputs, heads, None, start=indices.positions)
    buckets = layer.buckets(vectors[0], heads, _inference(layer), 1)
    output, state = _cache(layer).step(state, _complete(vectors, buckets), indices)
    return layer.merge(output, heads), state


def _inference(layer: SelfAttention) -> Call:
    return Call(mask=None, segments=None, seed=None, layer_seed=layer.seed, training=False)


def _cache(layer: SelfAttention) -> Cache:
    cache = layer.cache()
    if cache is None:
        raise ValueError(f"layer must be of a kind that has a cache as it is made. Received: {layer}")
    return cache


def _complete(vectors: list[tf.Tensor], buckets: tf.Tensor | None) -> Vectors:
    """Makes the input of a cache from the results of `project`."""
    query, *key, value = vectors
    return Vectors(query, key[0] if key else windowed.normalised(query), value, buckets)

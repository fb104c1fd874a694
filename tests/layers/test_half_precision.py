"""The gradient of every weight of every layer, over many tokens in half precision, beside float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import layers
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models import ReformerClassifier
from reformer_tf.ops import replay
from reformer_tf.ops.execution import row_chunks

# With gradients of one sign, a sum in bfloat16 would stop at some 256 tokens, one in float16 at 2,048.
ROWS, LENGTH, WIDTH = 128, 128, 8
# Rounding errors pass through other operations; sums in half precision are off by 6 to 98 % here.
TOLERANCE = 0.04
POLICIES = [
    "mixed_bfloat16",
    pytest.param("mixed_float16", marks=pytest.mark.slow),
    pytest.param("bfloat16", marks=pytest.mark.slow),
]
_ATTENTION = {"num_heads": 2, "key_dim": 4, "use_bias": True, "seed": 1}


def _stack(policy):
    def branch(layer):
        return layers.ResidualBranch(layer, seed=1, dtype=policy)

    attention = layers.LocalSelfAttention(**_ATTENTION, chunk_length=16, dtype=policy)
    feed_forward = layers.ChunkedFeedForward(12, dtype=policy)
    blocks = [
        (branch(attention), branch(feed_forward)),
        (keras.layers.EinsumDense("blm,mn->bln", (None, WIDTH), dtype=policy), Doubled()),
    ]
    return layers.ReversibleStack(blocks, dtype=policy)


class Doubled(keras.layers.Layer):
    """A branch without weights."""

    def call(self, x):
        return 2 * x


LAYERS = {
    "feed_forward": lambda policy: layers.ChunkedFeedForward(12, dtype=policy),
    "gated_in_chunks": lambda policy: layers.ChunkedFeedForward(12, gated=True, chunk_length=1000, dtype=policy),
    "full": lambda policy: layers.FullSelfAttention(**_ATTENTION, dtype=policy),
    "local": lambda policy: layers.LocalSelfAttention(**_ATTENTION, chunk_length=16, dtype=policy),
    "lsh": lambda policy: layers.LSHSelfAttention(**_ATTENTION, chunk_length=16, num_hashes=2, dtype=policy),
    "normalization": lambda policy: layers.ChunkedLayerNormalization(dtype=policy),
    "axial": lambda policy: layers.AxialPositionEmbedding((8, 16), (4, 4), dtype=policy),
    "learned": lambda policy: layers.LearnedPositionEmbedding(LENGTH, dtype=policy),
    "branch": lambda policy: layers.ResidualBranch(layers.ChunkedFeedForward(12, dtype=policy), dtype=policy),
    "stack": _stack,
}


def _errors(make, inputs, policy, mode):
    """The largest error in the gradient of each weight, over the largest number in it."""
    # Of one sign, but different: otherwise all would be rounded in the same direction.
    factors = np.random.default_rng(1).uniform(0.2, 1.0, size=(ROWS, LENGTH, WIDTH)).astype(np.float32)

    def gradients(layer, buckets):
        def compute():
            replaying = replay.replaying(buckets) if buckets else replay.recording()
            with tf.GradientTape() as tape, replay.recording() as recorded, replaying:
                output = tf.cast(layer(inputs), tf.float32)
                loss = tf.reduce_sum(output * factors)
            return [tf.convert_to_tensor(g) for g in tape.gradient(loss, layer.trainable_variables)], recorded

        return compute() if mode == "eager" else tf.function(compute, autograph=False)()

    exact, half = make("float32"), make(policy)
    for layer in (exact, half):
        layer(inputs[:1])
    half.set_weights(exact.get_weights())
    exact.set_weights(half.get_weights())  # rounded, where weights are half precision
    wanted, buckets = gradients(exact, None)
    found, _ = gradients(half, buckets)
    largest = max(np.abs(x).max() for x in wanted)
    return {
        v.path: float(np.abs(np.asarray(tf.cast(y, tf.float32)) - x).max() / np.abs(x).max())
        for v, x, y in zip(exact.trainable_variables, wanted, found, strict=True)
        if np.abs(x).max() > 1e-3 * largest  # the gradient of keys' biases is zero up to rounding
    }


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_weights(kind, policy):
    inputs = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
    graph = policy == "mixed_bfloat16" and kind in ("feed_forward", "gated_in_chunks", "branch", "stack")
    found = _errors(LAYERS[kind], inputs, policy, "graph" if graph else "eager")
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_of_an_embedding(policy):
    ids = np.random.default_rng(0).integers(0, 3, size=(ROWS, LENGTH))
    found = _errors(lambda policy: TokenEmbedding(5, WIDTH, dtype=policy), ids, policy, "graph")
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rows", [None, 1000])
def test_gradients_of_a_head(policy, rows, monkeypatch):
    class Losses(TokenHead):
        def call(self, hidden):
            losses = self.token_losses(hidden, tf.zeros(tf.shape(hidden)[:2], tf.int32))
            return tf.repeat(losses[..., None], WIDTH, axis=-1)

    if rows is not None:
        monkeypatch.setattr(row_chunks, "rows_in_budget", lambda width: rows)
    hidden = np.random.default_rng(0).uniform(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
    found = _errors(lambda policy: Losses(5, dtype=policy), hidden, policy, "graph")
    assert len(found) == 2 and max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_of_a_classifier(policy):
    def make(policy):
        model = ReformerClassifier(3, 1, 1, WIDTH, 1, 4, 8, ["local"], num_classes=2, pooling="mean", dtype=policy)
        model.hidden.kernel.assign(tf.abs(model.hidden.kernel))
        return model

    ids = np.random.default_rng(0).integers(0, 3, size=(4096, 1))
    models, gradients = [make(policy), make("float32")], []
    models[1].set_weights(models[0].get_weights())
    for model in models:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(ids)[:, 0])
        gradients.append(tape.gradient(loss, [model.hidden.bias, model.hidden.kernel]))
    for half, exact in zip(*gradients, strict=True):
        error = tf.reduce_max(tf.abs(tf.cast(half, tf.float32) - exact)) / tf.reduce_max(tf.abs(exact))
        assert error < TOLERANCE

"""Layers that cannot be branches, or would lose something in a custom gradient, are refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention, ResidualBranch, ReversibleStack

WIDTH = 6
K = keras.layers


def _inputs():
    return np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("float32")


class _Tuple(K.Layer):
    def call(self, x):
        return x, x


class _WeightInCall(K.Layer):
    def call(self, x):
        return x * self.add_weight((WIDTH,), name="late")


NEEDS = "must be a layer that can be called on one tensor(.|\n)*goes into a layer whose(.|\n)*Received: .*"
SHAPE = "must keep the shape of its input, and return one floating tensor.*Received: .*"
REFUSED = {
    "multi_head_attention": (lambda: K.MultiHeadAttention(2, 4), NEEDS + "MultiHeadAttention"),
    "group_query_attention": (lambda: K.GroupQueryAttention(4, 2, 1), NEEDS + "GroupedQueryAttention"),
    "attention": (K.Attention, NEEDS + "Attention"),
    "weight_in_call": (_WeightInCall, NEEDS + "_WeightInCall"),
    "tuple": (_Tuple, SHAPE + "_Tuple"),
    "width": (lambda: K.Dense(5), SHAPE + r"Dense\), which maps \(2, 5, 6\) to \(2, 5, 5\)"),
    "one_vector": (lambda: K.LSTM(WIDTH), SHAPE + "LSTM"),
    "pooled": (K.GlobalAveragePooling1D, SHAPE + "GlobalAveragePooling1D"),
    "embedding": (lambda: K.Embedding(10, WIDTH), SHAPE + "Embedding"),
    "integers": (lambda: K.Lambda(lambda x: tf.cast(x, tf.int32)), SHAPE + r"Lambda\), which.*int32"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("reversible", [True, False])
def test_what_is_no_branch_is_refused(case, wrapped, reversible):
    make, message = REFUSED[case]
    branch = ResidualBranch(make()) if wrapped else make()
    with pytest.raises(ValueError, match=message) as error:
        ReversibleStack([(branch, K.Dense(WIDTH))], reversible=reversible)(_inputs())
    assert str(error.value).count("A residual branch") == 1


class _AddsLoss(K.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_mean(x))
        return x


class _Counts(K.Layer):
    def __init__(self):
        super().__init__()
        self.mean = keras.metrics.Mean()

    def call(self, x):
        self.mean.update_state(x)
        return x


class _Compiled(K.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight((WIDTH, WIDTH), name="kernel")

    @tf.function
    def call(self, x):
        return x @ self.kernel


class _OfTensorFlow(K.Layer):
    """Keras does not know the variable."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(tf.ones([WIDTH]))

    def call(self, x):
        return x * self.scale


LOSS, STATE = "must not add losses in a call(.|\n)*Received", "must not change state(.|\n)*Received"
REFUSED_WHEN_REVERSIBLE = {
    "add_loss": (_AddsLoss, LOSS),
    "activity_regularizer": (lambda: K.Dense(WIDTH, activity_regularizer="l2"), LOSS),
    "of_attention": (lambda: ResidualBranch(FullSelfAttention(1, 4, activity_regularizer="l2")), LOSS),
    "of_feed_forward": (lambda: ResidualBranch(ChunkedFeedForward(8, activity_regularizer="l2")), LOSS),
    "of_a_branch": (lambda: ResidualBranch(ChunkedFeedForward(8), activity_regularizer="l2"), LOSS),
    "metric": (_Counts, STATE),
    "spectral_normalization": (lambda: K.SpectralNormalization(K.Dense(WIDTH)), STATE),
    "noise": (lambda: K.GaussianNoise(0.1), STATE),
    "variable": (_OfTensorFlow, "must read no variables but its own weights(.|\n)*Received"),
    "compiled": (_Compiled, r"must not be a tf\.function(.|\n)*Received(.|\n)*_Compiled"),
}


@pytest.mark.parametrize("case", REFUSED_WHEN_REVERSIBLE)
def test_what_a_custom_gradient_would_drop_is_refused_and_works_without_one(case):
    make, message = REFUSED_WHEN_REVERSIBLE[case]
    x = tf.constant(_inputs())
    with pytest.raises(ValueError, match=message):
        ReversibleStack([(make(), K.Dense(WIDTH))])(x, training=True)
    plain = ReversibleStack([(make(), K.Dense(WIDTH))], reversible=False)
    plain(x, training=True)
    assert len(plain.losses) == (message == LOSS)


@pytest.mark.parametrize("reversible", [True, False])
def test_a_length_that_a_layer_changes_is_refused(reversible):
    stack = ReversibleStack([(K.MaxPooling1D(2), K.Dense(WIDTH))], reversible=reversible)
    with pytest.raises(ValueError, match=SHAPE + r"MaxPooling1D\), which maps \(2, 5, 6\) to \(2, 2, 6\)"):
        stack(_inputs())
    call = tf.function(stack, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must keep the shape of its input.*MaxPooling1D"):
        call(_inputs())


def test_a_stack_takes_three_axes():
    with pytest.raises(ValueError, match=r"inputs must be .*\[batch, length, width\].*Received: .* shape \(2, 6\)"):
        ReversibleStack([(K.Dense(WIDTH), K.Dense(WIDTH))])(tf.ones([2, WIDTH]))

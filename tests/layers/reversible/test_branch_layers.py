"""Any Keras layer that works in a functional model works as a branch."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, ResidualBranch, ReversibleStack

WIDTH = 6
K = keras.layers
custom = keras.saving.register_keras_serializable("test_branch_layers")


@custom
class BuiltByItsCall(K.Layer):
    """A layer without `build`: its sublayers are built at the first call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.outer = K.Dense(8, "gelu"), K.Dense(WIDTH)

    def call(self, x):
        return self.outer(self.inner(x))


@custom
class BuiltInPart(BuiltByItsCall):
    """A `build` that leaves out the sublayers, and an output shape that is known without a call."""

    def build(self, input_shape):
        self.scale = self.add_weight((WIDTH,), "ones", name="scale")

    def call(self, x):
        return super().call(x) * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape


@custom
class OptionsPassedOn(K.Layer):
    """Takes no options; its sublayer gets them from Keras' call context."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.branch = ResidualBranch(ChunkedFeedForward(8), dropout=0.5, seed=3)

    def call(self, x):
        return self.branch(x)


def _decorated(call):
    @functools.wraps(call)
    def wrapper(self, x, *args, **kwargs):
        return call(self, x, *args, **kwargs)

    return wrapper


@custom
class Decorated(BuiltByItsCall):
    @_decorated
    def call(self, x, mask=None, **kwargs):
        y = super().call(x)
        return y if mask is None else y * tf.cast(mask[..., None], y.dtype)


@custom
class OptionsRequired(BuiltByItsCall):
    def call(self, x, seed, training):
        return super().call(x) * (2.0 if training else 1.0) + tf.cast(seed[0], x.dtype)


@custom
class SelfAttentionOfKeras(K.Layer):
    """The wrapper that the error about MultiHeadAttention recommends."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = K.MultiHeadAttention(2, 4)

    def call(self, x):
        return self.attention(x, x)


def _functional():
    x = K.Input((None, WIDTH))
    return keras.Model(x, K.Dense(WIDTH)(K.Dense(8, "gelu")(x)))


def _changed(layer, change):
    layer.build((None, None, WIDTH))
    change(layer)
    return layer


WORKING = {
    "built_by_its_call": BuiltByItsCall,
    "built_in_part": BuiltInPart,
    "options_passed_on": OptionsPassedOn,
    "decorated": Decorated,
    "self_attention_of_keras": SelfAttentionOfKeras,
    "sequential": lambda: keras.Sequential([K.Dense(8, "gelu"), BuiltByItsCall()]),
    "functional": _functional,
    "conv": lambda: K.Conv1D(WIDTH, 3, padding="causal"),
    "einsum": lambda: K.EinsumDense("abc,cd->abd", (None, WIDTH)),
    "no_weights": lambda: K.Activation("gelu"),
    "time_distributed": lambda: K.TimeDistributed(K.Dense(WIDTH)),
    "half": lambda: K.Dense(WIDTH, dtype="mixed_bfloat16"),
    "lora": lambda: _changed(K.Dense(WIDTH), lambda layer: layer.enable_lora(2)),
    "nested": lambda: ReversibleStack([(BuiltByItsCall(), OptionsPassedOn())], seed=4),
    "lstm": lambda: K.LSTM(WIDTH, return_sequences=True),
    "bidirectional": lambda: K.Bidirectional(K.GRU(WIDTH // 2, return_sequences=True)),
}
SLOW = {"lstm", "bidirectional", "self_attention_of_keras", "nested"}
working = pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in WORKING]
)


def _inputs(batch=2, length=5):
    return np.random.default_rng(0).normal(size=(batch, length, WIDTH)).astype("float32")


def _stack(case, wrapped, **options):
    keras.utils.set_random_seed(1)
    layer = WORKING[case]()
    return ReversibleStack([(ResidualBranch(layer, seed=5) if wrapped else layer, K.Dense(WIDTH))], seed=0, **options)


@working
def test_gradients_are_those_of_the_plain_stack(case):
    results = []
    x, seed = tf.constant(_inputs()), tf.constant([3, 4])
    for reversible in (True, False):
        stack = _stack(case, wrapped=False, reversible=reversible)
        stack.build((None, None, WIDTH))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = stack(x, seed=seed, training=True)
            loss = tf.reduce_sum(tf.sin(y))
        results.append([y, *tape.gradient(loss, [x, *stack.trainable_variables])])
    largest = max(np.abs(g).max() for g in results[1][1:])
    for a, b in zip(*results, strict=True):
        assert np.abs(a - b).max() <= (1e-2 if case == "half" else 1e-5) * max(largest, 1.0)


@working
def test_files(case, tmp_path):
    inputs = K.Input((None, WIDTH))
    model = keras.Model(inputs, _stack(case, wrapped=True)(inputs))
    variables = [v.path for v in model.variables]
    model(_inputs())
    assert [v.path for v in model.variables] == variables, "all are there before the first call"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(_inputs()), model(_inputs()), atol=1e-6)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


@pytest.mark.parametrize(
    ("case", "wrapped"),
    [
        ("built_by_its_call", False),
        *(pytest.param(case, wrapped, marks=pytest.mark.slow) for case in WORKING for wrapped in (False, True)),
    ],
)
def test_fit(case, wrapped):
    inputs = K.Input((None, WIDTH))
    model = keras.Model(inputs, _stack(case, wrapped)(inputs))
    model.compile(keras.optimizers.SGD(0.02), "mse", jit_compile=False)
    losses = model.fit(_inputs(), _inputs(), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_options_that_a_call_requires_are_there_when_it_is_built():
    stack = ReversibleStack([(OptionsRequired(), K.Dense(WIDTH))], reversible=False)
    stack.build((None, None, WIDTH))
    assert len(stack.weights) == 6
    assert stack(_inputs(), seed=tf.constant([1, 2]), training=True).shape == (2, 5, WIDTH)


def test_weights_are_regularized_and_constrained():
    """Only losses of a call are refused."""
    losses = []
    for reversible in (True, False):
        keras.utils.set_random_seed(1)
        dense = K.Dense(WIDTH, kernel_regularizer="l2", kernel_constraint="non_neg")
        model = keras.Sequential([ReversibleStack([(dense, K.Dense(WIDTH))], reversible=reversible, seed=0)])
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        losses.append(model.fit(_inputs(), _inputs(), epochs=3, verbose=0).history["loss"])
        assert np.min(dense.kernel) >= 0 and len(model.losses) == 1
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_every_use_of_a_branch_in_a_functional_model_counts_its_own_calls(tmp_path):
    """A layer shared with the model around the stack: building the stack does not count as a call in that model."""
    dense, inputs = K.Dense(WIDTH), K.Input((None, WIDTH))
    model = keras.Model(inputs, dense(ReversibleStack([(ResidualBranch(dense), K.Dense(WIDTH))])(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) == 6
    np.testing.assert_allclose(loaded(_inputs()), model(_inputs()), atol=1e-6)

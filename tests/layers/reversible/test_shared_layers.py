"""Layers that a stack uses at several points stay one layer in configs, clones, files and copies, and train as one."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention, ResidualBranch, ReversibleStack

WIDTH = 6
K = keras.layers


def _inputs():
    return np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("float32")


def _blocks_of_one():
    f = ResidualBranch(FullSelfAttention(1, 4, seed=1), dropout=0.2, seed=2)
    return [(f, ResidualBranch(ChunkedFeedForward(8), dropout=0.2, seed=3))] * 3


def _one_inside():
    dense = K.Dense(WIDTH)
    return [(ResidualBranch(dense, seed=1), ResidualBranch(dense, seed=2))]


def _one_beside_and_inside():
    dense = K.Dense(WIDTH)
    return [(dense, ResidualBranch(keras.Sequential([K.Dense(WIDTH), dense]), seed=1))]


def _one_of_a_nested_stack():
    dense = K.Dense(WIDTH)
    return [(ReversibleStack([(dense, dense)], seed=1), ResidualBranch(dense, seed=2))]


# Blocks, and the number of their weights.
SHARED = {
    "blocks": (_blocks_of_one, 12),
    "inside": (_one_inside, 6),
    "beside_and_inside": (_one_beside_and_inside, 6),
    "nested": (_one_of_a_nested_stack, 4),
}
each = pytest.mark.parametrize("case", SHARED)


def _stack(case, **options):
    keras.utils.set_random_seed(1)
    stack = ReversibleStack(SHARED[case][0](), seed=0, **options)
    stack.build((None, None, WIDTH))
    return stack


def _in_a_model(*layers):
    x = inputs = K.Input((None, WIDTH))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


@each
def test_copies_have_as_many_weights_and_compute_the_same(case, tmp_path):
    stack, number = _stack(case), SHARED[case][1]
    model = _in_a_model(stack)
    assert len(model.weights) == number
    model.save(tmp_path / "model.keras")
    config = stack.get_config()
    again = ReversibleStack.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(_inputs()), model(_inputs()), atol=1e-6)
    others = [loaded, keras.models.clone_model(model), _in_a_model(again), pickle.loads(pickle.dumps(model))]
    for other in (*others, copy.deepcopy(stack), copy.copy(stack)):
        assert len(other.weights) == number


@each
@pytest.mark.parametrize("mode", ["eager", pytest.param("graph", marks=pytest.mark.slow)])
def test_gradients_are_summed_over_uses(case, mode):
    x, gradients = tf.constant(_inputs()), []
    for reversible in (True, False):
        stack = _stack(case, reversible=reversible)

        def run(stack=stack):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.sin(stack(x, seed=tf.constant([1, 2]), training=True)))
            return tape.gradient(loss, stack.trainable_variables)

        gradients.append((tf.function(run) if mode == "graph" else run)())
    largest = max(np.abs(g).max() for g in gradients[1])
    for a, b in zip(*gradients, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * largest


def test_a_use_more_is_a_gradient_more():
    """Compares with three layers with equal weights, whose gradients a loop adds up."""
    one = _stack("blocks")
    three = ReversibleStack(
        [
            (
                ResidualBranch(FullSelfAttention(1, 4, seed=1), dropout=0.2, seed=2),
                ResidualBranch(ChunkedFeedForward(8), dropout=0.2, seed=3),
            )
            for _ in range(3)
        ],
        seed=0,
    )
    three.build((None, None, WIDTH))
    three.set_weights(one.get_weights() * 3)
    gradients = []
    for stack in (one, three):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(stack(tf.constant(_inputs()), seed=tf.constant([1, 2]), training=True)))
        gradients.append([np.asarray(g) for g in tape.gradient(loss, stack.trainable_variables)])
    for index, gradient in enumerate(gradients[0]):
        np.testing.assert_allclose(gradient, sum(gradients[1][index::12]), atol=1e-4)


def test_two_branches_in_a_functional_model_are_one_in_a_file(tmp_path):
    dense = K.Dense(WIDTH)
    model = _in_a_model(ResidualBranch(dense), ResidualBranch(dense), dense)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) == 6
    np.testing.assert_allclose(loaded(_inputs()), model(_inputs()), atol=1e-6)


def test_a_branch_cannot_be_exchanged_in_silence():
    """Keras does not notice that an entry of a list is replaced, and would train and save the old layer."""
    with pytest.raises(TypeError, match="item assignment"):
        _stack("inside").branches[0] = K.Dense(WIDTH)
    with pytest.raises(ValueError, match="branches must be as it was when the layer was made.*Received: branches="):
        ReversibleStack(_one_inside()).branches = [K.Dense(WIDTH), K.Dense(WIDTH)]
    for name in ("layer", "normalization", "dropout"):
        with pytest.raises(ValueError, match=f"{name} must be as it was when the layer was made.*Received: {name}="):
            setattr(ResidualBranch(K.Dense(WIDTH)), name, K.LayerNormalization())


def test_a_file_of_separate_layers_does_not_fit_shared_ones(tmp_path):
    separate = ReversibleStack([(ResidualBranch(K.Dense(WIDTH)), ResidualBranch(K.Dense(WIDTH)))])
    shared, separate = _in_a_model(_stack("inside")), _in_a_model(separate)
    shared.save_weights(tmp_path / "shared.weights.h5")
    with pytest.raises(ValueError, match="expected 2 variables, but received 0"):
        separate.load_weights(tmp_path / "shared.weights.h5")


def test_configs_of_older_versions_are_read():
    stack = ReversibleStack([(K.Dense(WIDTH, name="f"), ResidualBranch(K.Dense(WIDTH), seed=1))], seed=0)
    config = stack.get_config()
    f, g = stack.branches
    config["blocks"] = [[keras.saving.serialize_keras_object(layer) for layer in (f, g)]]
    assert ReversibleStack.from_config(config).get_config() == stack.get_config()

"""Every attention kind as a Keras layer among others, in all its settings: configs, masks, shapes, training, export.

The contract of every layer, in one setting, is in `test_layer_contract.py`.
"""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import cases

VOCABULARY = 11
RELEASED = [case for case in cases.DEFAULTS if case.setting == "released"]


def _classifier(case, **changes):
    """A user's functional model, of unknown batch size and length, with an implicit mask."""
    ids = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(VOCABULARY, cases.WIDTH, mask_zero=True)(ids)
    x = x + cases.make_layer(case, width=None, name="attention", **changes)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, keras.layers.Dense(2, dtype="float32")(x))


def _ids(batch=4, length=33):
    ids = np.random.default_rng(0).integers(1, VOCABULARY, [batch, length]).astype("int32")
    ids[1, 20:] = 0
    ids[2, 5:9] = 0
    return ids


@cases.each(cases.ALL)
def test_config_round_trip(case):
    layer = cases.make_layer(case, name="mine", dropout=0.1, trainable=False)
    config = layer.get_config()
    arguments = set(inspect.signature(type(layer).__init__).parameters) - {"self", "kwargs"}
    assert arguments <= set(config)
    assert all(hasattr(layer, name) for name in arguments)
    json.dumps(keras.saving.serialize_keras_object(layer))
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == config
    copy.build([None, None, cases.WIDTH])
    copy.set_weights(layer.get_weights())
    x = cases.inputs(2, 40)
    np.testing.assert_array_equal(copy(x), layer(x))


@cases.each(RELEASED)
def test_clone_model_and_saving_keep_the_function(case, tmp_path):
    model = _classifier(case)
    cases.perturb(model)
    expected = model(_ids())
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(_ids()), expected, atol=1e-6)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(restored(_ids()), expected, atol=1e-6)
    other = _classifier(case, seed=99)
    model.save_weights(tmp_path / "all.weights.h5")
    other.load_weights(tmp_path / "all.weights.h5")
    np.testing.assert_allclose(other(_ids()), expected, atol=1e-6)


@cases.each_direction(cases.DEFAULTS)
def test_saved_model_takes_any_batch_and_length(case, tmp_path):
    layer = cases.make_layer(case)

    @tf.function(input_signature=[tf.TensorSpec([None, None, cases.WIDTH]), tf.TensorSpec([None, None], tf.bool)])
    def call(x, mask):
        return layer(x, mask=mask)

    module = tf.Module()
    module.layer_variables = [variable.value for variable in layer.variables]
    module.call = call
    tf.saved_model.save(module, str(tmp_path))
    restored = tf.saved_model.load(str(tmp_path))
    for batch, length in ((1, 1), (3, 65), (2, 300)):
        x, mask = cases.inputs(batch, length), cases.masks(batch, length)
        np.testing.assert_allclose(restored.call(x, mask), layer(x, mask=mask), atol=1e-5)


@cases.each(cases.ALL)
def test_shapes_are_known_before_any_call(case):
    layer = cases.make_layer(case, width=None)
    assert layer.compute_output_shape((None, None, cases.WIDTH)) == (None, None, cases.WIDTH)
    assert layer(keras.Input([None, cases.WIDTH])).shape == (None, None, cases.WIDTH)
    assert layer(keras.Input([65, cases.WIDTH], batch_size=2)).shape == (2, 65, cases.WIDTH)
    assert layer(tf.zeros([2, 3, cases.WIDTH])).shape == (2, 3, cases.WIDTH)


@cases.each_direction(cases.DEFAULTS)
def test_graph_of_unknown_shape_serves_every_shape(case):
    """An empty batch as well: a replica gets one when the last batch has fewer rows than there are replicas."""
    layer = cases.make_layer(case)

    @tf.function(input_signature=[tf.TensorSpec([None, None, cases.WIDTH])])
    def output_and_gradients(x):
        with tf.GradientTape() as tape:
            y = layer(x)
        return y, tape.gradient(y, layer.trainable_variables)

    for batch, length in ((1, 1), (2, 17), (3, 130), (0, 20)):
        x = cases.inputs(batch, length)
        y, gradients = output_and_gradients(x)
        assert y.shape == x.shape
        np.testing.assert_allclose(y, layer(x), atol=1e-5)
        assert any(np.any(one) for one in gradients) == (batch > 0)
    assert output_and_gradients.experimental_get_tracing_count() == 1


@cases.each(RELEASED)
def test_implicit_masks_are_used_and_passed_on(case):
    layer, ids = cases.make_layer(case), _ids()
    embedded = keras.layers.Embedding(VOCABULARY, cases.WIDTH, mask_zero=True)(ids)
    y = layer(embedded)
    np.testing.assert_array_equal(keras.src.backend.get_keras_mask(y), ids != 0)
    plain = layer(tf.convert_to_tensor(np.asarray(embedded)), mask=ids != 0)
    np.testing.assert_array_equal(y, plain)
    assert np.max(np.abs(y - layer(tf.convert_to_tensor(np.asarray(embedded))))) > 1e-3


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize(("policy", "bound"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02), ("bfloat16", 0.1)])
def test_low_precision(case, policy, bound):
    layer, x, mask = cases.make_layer(case), cases.inputs(2, 65), cases.masks(2, 65)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    low = cases.make_layer(case, dtype=policy)
    assert low.dtype_policy.name == policy
    low.set_weights(layer.get_weights())
    x[~mask] = np.nan
    with cases.replaying(buckets):
        z = low(x, mask=mask)
    assert z.dtype == keras.DTypePolicy(policy).compute_dtype
    assert {weight.dtype for weight in low.trainable_variables} == {keras.DTypePolicy(policy).variable_dtype}
    # The first token sees only itself: nothing of the penalties or masks may overflow.
    assert np.max(np.abs(tf.cast(z, "float32") - y)) <= bound * np.max(np.abs(y))
    z = low(tf.cast(100.0 * cases.inputs(1, 1), z.dtype))
    assert np.isfinite(tf.cast(z, "float32")).all()


@pytest.mark.parametrize(
    ("case", "policy"),
    [
        # One policy for each kind, in rotation.
        pytest.param(case, policy, marks=[] if number % 3 == index else pytest.mark.slow, id=f"{case.name}-{policy}")
        for number, case in enumerate(cases.ONE_DIRECTION)
        for index, policy in enumerate(["mixed_float16", "float32", "mixed_bfloat16"])
    ],
)
def test_fit_learns(case, policy):
    """Also with the loss scaling that float16 needs."""
    keras.config.set_dtype_policy(policy)
    model, ids = _classifier(case, dropout=0.1), _ids(batch=32)
    labels = np.sum(ids > VOCABULARY // 2, axis=1) > np.sum(ids > 0, axis=1) // 2
    optimizer = keras.optimizers.Adam(0.02)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**8)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [weight.copy() for weight in model.get_layer("attention").get_weights()]
    history = model.fit(ids, labels, batch_size=8, epochs=10, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.8 * history[0]
    layer = model.get_layer("attention")
    for variable, old in zip(layer.weights, before, strict=True):
        assert np.array_equal(variable, old) != variable.trainable, variable.path


@pytest.mark.slow
@cases.each(cases.ONE_DIRECTION)
def test_fit_with_xla(case):
    model, ids = _classifier(case), _ids(batch=8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=True)
    assert np.isfinite(model.fit(ids, np.arange(8) % 2, epochs=1, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("eagerly", [True, pytest.param(False, marks=pytest.mark.slow)])
@cases.each(cases.ONE_DIRECTION)
def test_frozen_layer_is_not_trained_and_lets_gradients_through(case, eagerly):
    model, ids = _classifier(case), _ids()
    model.get_layer("attention").trainable = False
    before = model.get_layer("attention").get_weights()
    embedding = model.layers[1].get_weights()[0]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=eagerly)
    model.fit(ids, np.arange(4) % 2, epochs=1, verbose=0)
    for old, new in zip(before, model.get_layer("attention").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(embedding, model.layers[1].get_weights()[0])


@cases.each_direction(cases.DEFAULTS)
def test_nested_in_another_layer(case):
    """Sublayers of a user's layer share weights between calls and are tracked."""

    class Twice(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.attention = cases.make_layer(case, width=None)

        def call(self, x):
            return self.attention(x + self.attention(x))

    layer = Twice()
    y = layer(cases.inputs(2, 20))
    assert y.shape == (2, 20, cases.WIDTH)
    assert len(layer.trainable_variables) == len(cases.make_layer(case).trainable_variables)


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize("argument", ["attention_mask", "return_attention_scores", "use_causal_mask"])
def test_arguments_of_keras_attention_that_mean_nothing_here_say_what_to_use(case, argument):
    layer = cases.make_layer(case)
    with pytest.raises(ValueError, match=rf"{argument}(.|\n)*Received"):
        layer(cases.inputs(1, 4), **{argument: True})


@pytest.mark.parametrize(
    ("case", "argument", "value"),
    [
        *((case, "num_heads", value) for case in cases.DEFAULTS for value in (0, 1.5)),
        *((case, "key_dim", value) for case in cases.DEFAULTS for value in (0, -3)),
        *((case, "dropout", value) for case in cases.DROPPING_DEFAULTS for value in (1.0, -0.1)),
    ],
)
def test_bad_arguments_are_named(case, argument, value):
    with pytest.raises(ValueError, match=rf"{argument}(.|\n)*Received(.|\n)*{value}"):
        cases.make_layer(case, width=None, **{argument: value})


BAD_INPUTS = {
    "rank": ([4, cases.WIDTH], {}, "(?i)shape|rank|ndim"),
    "mask_length": ([2, 5, cases.WIDTH], {"mask": np.ones([2, 6], bool)}, r"mask(.|\n)*Received"),
    "mask_rank": ([2, 5, cases.WIDTH], {"mask": np.ones([5], bool)}, r"mask(.|\n)*Received"),
    "mask_dtype": ([2, 5, cases.WIDTH], {"mask": np.ones([2, 5], "float32")}, r"mask(.|\n)*Received"),
    "segment_length": ([2, 5, cases.WIDTH], {"segment_ids": np.ones([2, 6], "int32")}, r"segment_ids(.|\n)*Received"),
    "seed_size": ([2, 5, cases.WIDTH], {"seed": [1, 2, 3, 4], "training": True}, r"seed(.|\n)*Received"),
    "seed_dtype": ([2, 5, cases.WIDTH], {"seed": [1.0, 2.0], "training": True}, r"seed(.|\n)*Received"),
}


@pytest.mark.parametrize(
    ("case", "bad"),
    [
        (case, bad)
        for case in cases.DEFAULTS
        for bad in BAD_INPUTS
        if case.capabilities.pair_dropout or not bad.startswith("seed")  # Others may use no seed.
    ],
)
def test_bad_inputs_are_named(case, bad):
    layer = cases.make_layer(case, dropout=0.1)
    shape, kwargs, message = BAD_INPUTS[bad]
    with pytest.raises(ValueError, match=message):
        layer(tf.zeros(shape), **kwargs)

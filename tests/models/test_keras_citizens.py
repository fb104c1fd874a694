"""Every model with a head as a Keras model, beyond the contract of every layer: options, loss scale, seeds, gradients.

`tests/conformance/test_layer_contract.py` has the contract.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import cases

# One model of each head, for slow tests.
HEADS = ["causal_lm_as_released", "classifier", "span_predictor"]
each = pytest.mark.parametrize("case", sorted(cases.MODELS))


@pytest.mark.parametrize("case", ["causal_lm_as_released", "classifier"])
def test_configs_clones_and_files_keep_options_and_seeds(case, tmp_path):
    model, ids = cases.make(case, dropout=0.1, seed=7, name="mine"), cases.ids()
    config = model.get_config()
    assert set(cases.MODELS[case][1]) <= set(config)
    assert type(model).from_config(json.loads(json.dumps(config))).get_config() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        assert type(other) is type(model) and other.get_config() == config
        seed = tf.constant([1, 2])
        for options in ({}, {"seed": seed, "training": True}):
            for a, b in zip(cases.flat(other(ids, **options)), cases.flat(model(ids, **options)), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", HEADS)
def test_a_graph_of_unknown_shape_serves_every_shape(case):
    model = cases.make(case)
    symbolic = model(keras.Input((None,), dtype="int32"))
    call = tf.function(model, input_signature=[tf.TensorSpec([None, None], tf.int32)])
    for batch, length in ((1, 1), (2, 17), (3, cases.LONGEST)):
        ids = cases.ids(batch, length)
        outputs = model(ids)
        for a, b in zip(cases.flat(call(ids)), cases.flat(outputs), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        for a, b in zip(keras.tree.flatten(symbolic), keras.tree.flatten(outputs), strict=True):
            assert b.shape.is_compatible_with(a.shape) and a.dtype == b.dtype
    assert call.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_keras_scales_the_loss_where_the_compute_dtype_is_float16(policy):
    model = cases.make("causal_lm", dtype=policy, num_layers=1, attention_layers=["local"])
    model.compile("sgd")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")


@each
def test_a_seed_decides_training_and_follows_the_row(case):
    model, ids = cases.make(case, dropout=0.2), cases.ids()
    call = lambda ids, seed=None: cases.flat(model(ids, seed=seed and tf.constant(seed), training=True))
    for first, again, other, rows, drawn, next_drawn in zip(
        call(ids, [1, 2]),
        call(ids, [1, 2, 0]),
        call(ids, [1, 3]),
        call(ids[1:], [1, 2, 1]),
        call(ids),
        call(ids),
        strict=True,
    ):
        np.testing.assert_array_equal(first, again)
        np.testing.assert_allclose(rows, first[1:], atol=1e-4)
        assert np.abs(first - other).max() > 1e-3
        assert np.abs(drawn - next_drawn).max() > 1e-3
    for a, b in zip(cases.flat(model(ids)), cases.flat(model(ids, seed=tf.constant([1, 2]))), strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_training_calls_without_seeds_are_those_of_a_twin(case):
    first, second = (cases.make(case, dropout=0.2, seed=3) for _ in range(2))
    for _ in range(2):
        for a, b in zip(
            cases.flat(first(cases.ids(), training=True)), cases.flat(second(cases.ids(), training=True)), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", HEADS)
def test_the_reversible_model_has_the_gradients_of_the_plain_one(case):
    ids, mask, gradients = cases.ids(), cases.mask(), []
    for reversible in (True, False):
        model = cases.make(case, reversible=reversible, dropout=0.1, attention_dropout=0.1)
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(ids, mask=mask, seed=tf.constant([1, 2]), training=True))
            # Without the masked tokens, whose outputs mean nothing.
            loss = sum(tf.reduce_sum(tf.where(x > -1e8, tf.sin(x), 0.0)) for x in outputs)
        gradients.append([np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(loss, model.trainable_variables)])
    largest = max(np.abs(g).max() for g in gradients[1])
    assert largest > 0.1
    for a, b in zip(*gradients, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * largest


_TARGETS = {
    "causal_lm_as_released": cases.ids(seed=5),
    "classifier": np.arange(3),
    "span_predictor": {"start": np.arange(3), "end": np.arange(3)},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", HEADS)
def test_fit_with_xla(case):
    losses = []
    for jit_compile in (True, False):
        model = cases.make(case, redraw_rotations=False, dropout=0.1)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss = {"start": loss, "end": loss} if case == "span_predictor" else loss
        model.compile("sgd", loss, jit_compile=jit_compile)
        data = {"ids": cases.ids(), "mask": cases.mask()}
        losses.append(model.fit(data, _TARGETS[case], epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-3)


@each
def test_inputs_of_a_dict_are_those_of_a_call(case):
    model, ids, mask = cases.make(case), cases.ids(), cases.mask()
    segments = np.repeat([[0, 1]], 25, axis=1) * np.ones((3, 1), int)
    inputs = {"ids": ids, "mask": mask, "segment_ids": segments}
    expected = cases.flat(model(ids, mask=mask, segment_ids=segments))
    for a, b, c in zip(cases.flat(model(inputs)), expected, cases.flat(model(ids)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 1e-3
    with pytest.raises(ValueError, match="mask must be a boolean or integer tensor"):
        model({"ids": ids, "mask": mask[:, 1:]})
    with pytest.raises(ValueError, match='x must be ids, or a dict of "ids".*Received: .*masks'):
        model({"ids": ids, "masks": mask})
    with pytest.raises(ValueError, match=r"x must be ids, or a dict of \"ids\".*Received: \['mask'\]"):
        model({"mask": mask})


class _ZeroMask(keras.layers.Layer):
    """Returns ids unchanged, and masks zeros."""

    def call(self, ids):
        return ids

    def compute_mask(self, ids, previous_mask=None):
        return ids != 0


@pytest.mark.parametrize("case", HEADS[:1])
def test_implicit_masks_are_used_inside_another_model(case):
    ids = keras.Input((None,), dtype="int32")
    model, data = cases.make(case), cases.ids()
    outer = keras.Model(ids, model(_ZeroMask(dtype="int32")(ids)))
    for a, b in zip(cases.flat(outer(data)), cases.flat(model(data, mask=data != 0)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)

"""What every layer and model promises as a Keras layer: the public ones, and the layers that models are made of."""

import importlib
import inspect
import json
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import reformer_tf.layers
import reformer_tf.models
from reformer_tf.layers import LSHSelfAttention
from tests.conformance import cases
from tests.conformance.layer_cases import CASES, assert_equal, each, flat, inputs, make, symbolic


def _registered_classes():
    """All classes of layers and models of the package that a config can name: those that are registered with Keras."""
    found = set()
    for package in (reformer_tf.layers, reformer_tf.models):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
            found |= {member for _, member in members if issubclass(member, keras.layers.Layer)}
    return {cls for cls in found if keras.saving.get_registered_object(f"reformer_tf>{cls.__name__}") is cls}


def test_every_layer_has_a_case():
    found = _registered_classes()
    for package in (reformer_tf.layers, reformer_tf.models):
        assert {getattr(package, name) for name in package.__all__} <= found
    assert found == {case.layer for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if case.is_model], ids=lambda case: case.name)
def test_every_layer_of_a_model_has_a_case(case):
    model = make(case, **case.deeper)
    parts = {type(part) for part in model._flatten_layers()}
    assert {part for part in parts if not part.__module__.startswith("keras.")} <= {case.layer for case in CASES}


@each
def test_configs_hold_every_argument_and_give_the_layer_back(case):
    layer = make(case, name="mine", trainable=False)
    config = layer.get_config()
    parameters = inspect.signature(case.layer.__init__).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD}
    # A backbone that was passed is in the config with its own arguments.
    assert (names | {*case.arguments()}) - {"self", "backbone"} <= set(config) | {"causal"}
    assert config["name"] == "mine" and config["trainable"] is False
    text = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    for copy in (case.layer.from_config(layer.get_config()), keras.saving.deserialize_keras_object(text)):
        assert type(copy) is case.layer and copy.get_config() == config
        case.call(copy, inputs(case))
        copy.set_weights(layer.get_weights())
        assert_equal(case.call(copy, inputs(case)), case.call(layer, inputs(case)))


@each
def test_a_functional_model_of_unknown_shape_is_cloned_saved_and_serves_every_shape(case, tmp_path):
    layer, x = make(case), symbolic(case)
    y = case.call(layer, x)
    model = keras.Model(x, y)
    shapes = keras.tree.map_structure(lambda output: output.shape, y)
    assert shapes == case.shapes(None, None)
    given = keras.tree.map_structure(lambda tensor: tensor.shape, x)
    if case.separate:
        given = {f"{name}_shape": shape for name, shape in given.items()}
    assert shapes == (layer.compute_output_shape(**given) if case.separate else layer.compute_output_shape(given))
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=200)
    assert any(layer.name in line for line in lines)
    specs = keras.tree.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), x)
    graph = tf.function(model, input_signature=[specs])
    for batch, length in ((1, 1), (2, 40), (3, 17)):
        data = inputs(case, batch, length)
        expected = case.call(layer, data)
        assert keras.tree.map_structure(lambda output: tuple(output.shape), expected) == case.shapes(batch, length)
        for output, other, spec in zip(flat(graph(data)), *map(keras.tree.flatten, (expected, y)), strict=True):
            np.testing.assert_allclose(output, other, atol=1e-5)
            assert other.dtype == spec.dtype
    assert graph.experimental_get_tracing_count() == 1
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for other in (model, clone, loaded):
        assert_equal(other(data), expected)
    model.save_weights(tmp_path / "all.weights.h5")
    cases.perturb(clone, seed=5)
    clone.load_weights(tmp_path / "all.weights.h5")
    assert_equal(clone(data), expected)


@each
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_dtype_policies(case, policy):
    layer, data = make(case), inputs(case)
    keras.config.set_dtype_policy(policy)  # For the layers in a layer, too.
    policies = keras.DTypePolicy(policy)
    low = make(case)
    low.set_weights(layer.get_weights())
    if policy == "float64":
        data = keras.tree.map_structure(lambda x: x if x.dtype.kind == "i" else x.astype("float64"), data)
    y = case.call(low, data)
    assert low.dtype_policy.name == policy
    dtype = "float64" if policy == "float64" else case.output_dtype or policies.compute_dtype
    assert {output.dtype.name for output in keras.tree.flatten(y)} == {dtype}
    assert {variable.dtype for variable in low.trainable_variables} <= {policies.variable_dtype}
    if case.layer is not LSHSelfAttention:  # Rounding may change its buckets.
        for output, expected in zip(keras.tree.flatten(y), flat(case.call(layer, inputs(case))), strict=True):
            np.testing.assert_allclose(tf.cast(output, "float32"), expected, atol=0.05 * np.abs(expected).max())


class _MaskedFrom(keras.layers.Layer):
    """Returns its input unchanged, with a mask that leaves out the tokens of the last row from an index on."""

    def __init__(self, index):
        super().__init__(autocast=False)
        self.index = index

    def call(self, inputs):
        return tf.identity(inputs)

    def compute_mask(self, inputs, previous_mask=None):
        batch, length = inputs.shape[:2]
        return np.arange(length) < np.where(np.arange(batch) < batch - 1, length, self.index)[:, None]


@each
def test_implicit_masks_are_used_and_passed_on(case):
    """Valid tokens have the outputs of a sequence that ends before the masked ones."""
    layer, data = make(case), inputs(case)
    outputs = keras.tree.flatten(case.call(layer, keras.tree.map_structure(_MaskedFrom(6), data)))
    shortened = keras.tree.map_structure(lambda x: x[:, :6], data)
    for output, shorter in zip(outputs, flat(case.call(layer, shortened)), strict=True):
        per_token = output.shape[1:2] == (9,)
        np.testing.assert_allclose(output[1, :6] if per_token else output[1], shorter[1], atol=1e-5)
        mask = keras.src.backend.get_keras_mask(output)
        if case.passes_mask:
            np.testing.assert_array_equal(mask, np.arange(9) < np.array([[9], [6]]))
        else:
            assert mask is None


@each
def test_gradients_reach_inputs_and_weights(case):
    layer, data = make(case), inputs(case)
    x = keras.tree.map_structure(tf.constant, data)
    with tf.GradientTape() as tape:
        vectors = [tensor for tensor in keras.tree.flatten(x) if tensor.dtype.is_floating]
        tape.watch(vectors)
        outputs = keras.tree.flatten(case.call(layer, x, training=True))
        loss = sum(tf.reduce_sum(tf.sin(output)) for output in outputs)
    sources = [*layer.trainable_variables, *vectors]
    for gradient in tape.gradient(loss, sources):
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all() and np.any(gradient)


@each
def test_frozen_weights_change_neither_outputs_nor_other_gradients(case):
    layer, data = make(case), inputs(case)
    frozen, others = layer.trainable_variables[::2], layer.trainable_variables[1::2]

    def results():
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(case.call(layer, data))
            loss = sum(tf.reduce_sum(tf.sin(output)) for output in outputs)
        return [*outputs, *map(tf.convert_to_tensor, tape.gradient(loss, others))]

    before = results()
    for variable in frozen:
        variable.trainable = False
    for found, expected in zip(results(), before, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(np.abs(expected).max(), 1))


@each
def test_a_step_of_fit_changes_the_trainable_weights_and_no_frozen_ones(case):
    layer, x = make(case), symbolic(case)
    outputs = [keras.ops.expand_dims(output, -1) for output in keras.tree.flatten(case.call(layer, x))]
    # With weights of its own, since Keras trains no model without any.
    model = keras.Model(x, [keras.layers.Dense(2)(output) for output in outputs])
    targets = [np.ones_like(output) for output in flat(model(inputs(case)))]
    for trainable in (True, False):
        layer.trainable = trainable
        model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
        before = [weight.copy() for weight in layer.get_weights()]
        assert np.isfinite(model.fit(inputs(case), targets, verbose=0).history["loss"]).all()
        for variable, old in zip(layer.weights, before, strict=True):
            if "seed" not in variable.path:
                assert np.array_equal(variable, old) != variable.trainable, variable.path

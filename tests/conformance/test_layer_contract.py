"""What every layer promises as a Keras layer, over all public layers and those that models are made of.

A layer needs one case; a test fails as long as it has none.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import reformer_tf.layers
from reformer_tf.layers import (
    AxialPositionEmbedding,
    ChunkedFeedForward,
    ChunkedLayerNormalization,
    FullSelfAttention,
    LearnedPositionEmbedding,
    LocalSelfAttention,
    LSHSelfAttention,
    ResidualBranch,
    ReversibleStack,
    SinusoidalPositionEmbedding,
)
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead
from tests.conformance import cases

WIDTH, LONGEST, VOCABULARY = 8, 40, 11


class Case(NamedTuple):
    """How a layer is made, and what it takes and gives."""

    layer: type[keras.layers.Layer]
    arguments: Callable[[], dict[str, Any]]
    takes_ids: bool = False
    output_dtype: str | None = None  # None: the compute dtype
    output_width: int = WIDTH


def _blocks() -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    attention = lambda: ResidualBranch(LocalSelfAttention(2, 4, chunk_length=4, seed=1))
    return [(attention(), ResidualBranch(ChunkedFeedForward(12))) for _ in range(2)]


CASES = [
    Case(AxialPositionEmbedding, lambda: {"axial_shape": (8, 5), "axial_dims": (2, 6)}),
    Case(ChunkedFeedForward, lambda: {"intermediate_dim": 12, "gated": True, "chunk_length": 7}),
    Case(ChunkedLayerNormalization, lambda: {"epsilon": 1e-3}),
    Case(FullSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "causal": True}),
    Case(LearnedPositionEmbedding, lambda: {"max_sequence_length": LONGEST}),
    Case(LocalSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "chunk_length": 4, "rotary": True}),
    Case(LSHSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "chunk_length": 4, "num_buckets": 4, "seed": 3}),
    Case(ResidualBranch, lambda: {"layer": ChunkedFeedForward(12), "dropout": 0.1, "seed": 2}),
    Case(ReversibleStack, lambda: {"blocks": _blocks(), "seed": 4}, output_dtype="float32"),
    Case(SeededDropout, lambda: {"rate": 0.3, "seed": 6}),
    Case(SinusoidalPositionEmbedding, lambda: {"scale": 0.5}),
    Case(
        TokenEmbedding,
        lambda: {"vocabulary_size": VOCABULARY, "hidden_dim": WIDTH, "max_sequence_length": LONGEST},
        takes_ids=True,
    ),
    Case(TokenHead, lambda: {"vocabulary_size": VOCABULARY}, output_dtype="float32", output_width=VOCABULARY),
]
each = pytest.mark.parametrize("case", CASES, ids=[case.layer.__name__ for case in CASES])


def make(case: Case, **changes: Any) -> keras.layers.Layer:
    """Builds the layer of a case, with weights that are not tiny."""
    layer = case.layer(**{**case.arguments(), **changes})
    layer(inputs(case))
    cases.perturb(layer)
    return layer


def inputs(case: Case, batch: int = 2, length: int = 9) -> np.ndarray:
    """Random ids `[B, L]` or vectors `[B, L, M]`."""
    if case.takes_ids:
        return np.random.default_rng(2).integers(0, VOCABULARY, [batch, length]).astype("int32")
    return cases.inputs(batch, length, WIDTH)


def symbolic(case: Case) -> keras.KerasTensor:
    """An input of unknown batch and length."""
    return keras.Input([None], dtype="int32") if case.takes_ids else keras.Input([None, WIDTH])


def equal(first: Any, second: Any) -> None:
    np.testing.assert_allclose(np.asarray(first), np.asarray(second), atol=1e-6)


def _layers_of_the_package() -> set[type[keras.layers.Layer]]:
    """All classes of layers that a config can name: those that are registered with Keras."""
    found = set()
    for module in pkgutil.walk_packages(reformer_tf.layers.__path__, "reformer_tf.layers."):
        members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        found |= {member for _, member in members if issubclass(member, keras.layers.Layer)}
    return {cls for cls in found if cls.__module__.startswith("reformer_tf.layers") and _is_registered(cls)}


def _is_registered(cls: type) -> bool:
    return keras.saving.get_registered_object(f"reformer_tf>{cls.__name__}") is cls


def test_every_layer_has_a_case():
    layers = _layers_of_the_package()
    assert {getattr(reformer_tf.layers, name) for name in reformer_tf.layers.__all__} <= layers
    assert layers == {case.layer for case in CASES}


@each
def test_configs_hold_every_argument_and_give_the_layer_back(case):
    layer = make(case, name="mine", trainable=False)
    config = layer.get_config()
    names = set(inspect.signature(case.layer.__init__).parameters) - {"self", "kwargs"}
    assert names <= set(config)
    assert config["name"] == "mine" and config["trainable"] is False
    text = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    for copy in (case.layer.from_config(layer.get_config()), keras.saving.deserialize_keras_object(text)):
        assert type(copy) is case.layer and copy.get_config() == config
        copy(inputs(case))
        copy.set_weights(layer.get_weights())
        equal(copy(inputs(case)), layer(inputs(case)))


@each
def test_a_functional_model_of_unknown_shape_is_cloned_saved_and_serves_every_shape(case, tmp_path):
    layer, x = make(case), symbolic(case)
    y = layer(x)
    model = keras.Model(x, y)
    assert y.shape == (None, None, case.output_width)
    assert layer.compute_output_shape(x.shape) == y.shape
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert any(layer.name in line for line in lines)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    weights = keras.models.clone_model(model)
    model.save_weights(tmp_path / "all.weights.h5")
    weights.load_weights(tmp_path / "all.weights.h5")
    for batch, length in ((1, 1), (3, 17), (2, LONGEST)):
        data = inputs(case, batch, length)
        expected = layer(data)
        assert expected.shape == (batch, length, case.output_width) and expected.dtype == y.dtype
        for other in (model, clone, loaded, weights):
            equal(other(data), expected)


@each
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_dtype_policies(case, policy):
    layer, data = make(case), inputs(case)
    keras.config.set_dtype_policy(policy)  # For the layers in a layer, too.
    policies = keras.DTypePolicy(policy)
    low = make(case)
    low.set_weights(layer.get_weights())
    y = low(data if case.takes_ids or policy != "float64" else data.astype("float64"))
    assert low.dtype_policy.name == policy
    assert y.dtype == ("float64" if policy == "float64" else case.output_dtype or policies.compute_dtype)
    assert {variable.dtype for variable in low.trainable_variables} <= {policies.variable_dtype}
    if case.layer is not LSHSelfAttention:  # Rounding may change its buckets.
        bound = 0.05 * np.abs(layer(data)).max()
        np.testing.assert_allclose(tf.cast(y, "float32"), layer(data), atol=bound)


@each
def test_masks_are_passed_on(case):
    layer, data = make(case), inputs(case)
    if case.takes_ids:
        assert layer.supports_masking
        return
    masked = keras.layers.Masking(mask_value=5.0)
    data[1, 6:] = 5.0
    y = layer(masked(data))
    np.testing.assert_array_equal(keras.src.backend.get_keras_mask(y), np.all(data != 5.0, axis=-1))


@each
def test_gradients_reach_inputs_and_weights(case):
    layer, data = make(case), inputs(case)
    x = tf.constant(data)
    with tf.GradientTape() as tape:
        if not case.takes_ids:
            tape.watch(x)
        loss = tf.reduce_sum(tf.sin(layer(x, training=True)))
    sources = [*layer.trainable_variables, *([] if case.takes_ids else [x])]
    for gradient in tape.gradient(loss, sources):
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all() and np.any(gradient)


@each
def test_a_step_of_fit_changes_the_trainable_weights_and_no_frozen_ones(case):
    for trainable in (True, False):
        layer, x = make(case, trainable=trainable), symbolic(case)
        model = keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(layer(x))))
        model.compile("sgd", keras.losses.MeanSquaredError(), run_eagerly=True)
        before = [weight.copy() for weight in layer.get_weights()]
        history = model.fit(inputs(case), np.ones([2, 2], "float32"), verbose=0).history
        assert np.isfinite(history["loss"]).all()
        for variable, old in zip(layer.weights, before, strict=True):
            if "seed" not in variable.path:
                assert np.array_equal(variable, old) != variable.trainable, variable.path

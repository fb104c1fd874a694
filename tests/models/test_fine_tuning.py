"""Adapters of whole models: what is trained, what configs, files and exports hold, and that Keras' tools work."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import export_saved_model
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models import ReformerBackbone, ReformerClassifier, fine_tuning
from tests.models import cases

SMALL = {"num_layers": 2, "attention_layers": ["local", "lsh"], "attention_options": None}
ONE_LAYER = {"num_layers": 1, "attention_layers": ["local"]}
ALL = ("query_key", "query", "key", "value", "output", "inner_kernel", "outer_kernel", "embeddings")
each = pytest.mark.parametrize("case", ["causal_lm", "classifier", "span_predictor"])


def _adapted(case, kernels=ALL, **changes):
    """A model with adapters that are not zero."""
    return cases.perturb(_with_adapters(cases.make(case, **{**SMALL, **changes}), kernels))


def _with_adapters(model, kernels=ALL):
    model.train_adapters(2, lora_alpha=3.0, kernels=kernels)
    return model


def _names(model):
    return [variable.path.split("/")[-1] for variable in model.trainable_variables]


@each
def test_adapters_and_the_head_are_trained(case):
    model = cases.make(case, **SMALL)
    head = [v.path for v in model.trainable_variables if not any(v is w for w in model.backbone.weights)]
    before = cases.flat(model(cases.ids()))
    model.train_adapters(2)
    for a, b in zip(cases.flat(model(cases.ids())), before, strict=True):
        np.testing.assert_array_equal(a, b)
    local, lsh = ["query", "value"], ["query_key", "value"]
    adapters = [f"lora_{name}_{half}" for names in (local, lsh) for name in names for half in "ab"]
    assert [v.name for v in model.backbone.trainable_variables] == adapters
    assert [v.path for v in model.trainable_variables][len(adapters) :] == head


@each
def test_configs_clones_and_files(case, tmp_path):
    model = _adapted(case)
    config = model.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    others = [loaded, keras.models.clone_model(model), type(model).from_config(json.loads(json.dumps(config)))]
    for other in others:
        assert other.get_config() == config and _names(other) == _names(model)
        other.set_weights(model.get_weights())
    expected = cases.flat(model(cases.ids()))
    for other in others:
        for a, b in zip(cases.flat(other(cases.ids())), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_training_goes_on_after_a_file_as_without(tmp_path):
    model = _adapted("classifier", kernels=("query", "query_key", "value"), dropout=0.2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    model.fit(cases.ids(), np.arange(3), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    losses = [m.fit(cases.ids(), np.arange(3), epochs=2, verbose=0).history["loss"] for m in (model, loaded)]
    np.testing.assert_array_equal(*losses)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_changes_adapters_and_the_head_alone():
    model = _adapted("classifier")
    frozen = {v.path: v.numpy() for v in model.weights if not v.trainable}
    trained = {v.path: v.numpy() for v in model.trainable_variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    model.fit(cases.ids(), np.arange(3), verbose=0)
    for variable in model.weights:
        old = frozen.get(variable.path, trained.get(variable.path))
        assert np.array_equal(variable, old) == (variable.path in frozen), variable.path


@pytest.mark.slow
def test_adapters_are_made_under_the_strategy_of_the_model(mirrored_strategy):
    """Also where they are asked for outside of its scope."""
    results = []
    for strategy in (tf.distribute.get_strategy(), mirrored_strategy):
        with strategy.scope():
            model = cases.make("classifier", **{**SMALL, **ONE_LAYER}, dropout=0.3)
        keras.utils.set_random_seed(1)
        model.train_adapters(2)
        with strategy.scope():
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
        model.fit(cases.ids(4), np.arange(4) % 3, epochs=3, batch_size=4, verbose=0, shuffle=False)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_compiled_model_is_compiled_again():
    model = cases.make("causal_lm", **SMALL)
    for change in (lambda: model.train_adapters(2), model.merge_adapters):
        model.compile("sgd", run_eagerly=True)
        change()
        with pytest.raises(ValueError, match=r"call `compile\(\)`"):
            model.fit(cases.ids(), verbose=0)


def test_keras_layers_of_a_head_may_have_adapters_too(tmp_path):
    model = cases.make("classifier", **SMALL)
    for layer in model._flatten_layers():
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
    cases.perturb(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config() and _names(loaded) == _names(model)
    assert "lora_kernel_a" in _names(model)
    np.testing.assert_allclose(loaded(cases.ids()), model(cases.ids()), atol=1e-5)


@pytest.mark.parametrize(
    "case", ["classifier", *(pytest.param(case, marks=pytest.mark.slow) for case in ("causal_lm", "span_predictor"))]
)
def test_adapters_are_merged_for_good_and_in_exports(case, tmp_path):
    model = _adapted(case, **ONE_LAYER) if case == "classifier" else _adapted(case)
    before, config = cases.flat(model(cases.ids(1))), model.get_config()
    folder = export_saved_model(model, tmp_path)
    assert model.get_config() == config
    stored = dict(tf.train.list_variables(folder / "variables" / "variables"))
    shapes = sorted(tuple(shape) for name, shape in stored.items() if name.startswith("weights/"))
    module = tf.saved_model.load(folder)
    exported = cases.flat(module.signatures["predict"](ids=tf.constant(cases.ids(1))))
    model.merge_adapters()
    assert shapes == sorted(tuple(variable.shape) for variable in model.variables)
    scale = max(np.abs(x).max() for x in before)
    for results in (exported, cases.flat(model(cases.ids(1)))):
        for a, b in zip(results, before, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * max(scale, 1))
    assert not any("lora" in variable.path for variable in model.variables)


def test_a_backbone_by_itself():
    backbone = cases.make("causal_lm", **SMALL).backbone
    backbone.trainable = False
    backbone.train_adapters(2)
    cases.perturb(backbone)
    other = ReformerBackbone.from_config(json.loads(json.dumps(backbone.get_config())))
    other.set_weights(backbone.get_weights())
    assert _names(other) == _names(backbone) and len(_names(backbone)) == 8
    np.testing.assert_array_equal(other(cases.ids()), backbone(cases.ids()))
    merged = fine_tuning.merged(backbone)
    assert type(merged) is ReformerBackbone and "parts" in merged.get_config()
    np.testing.assert_allclose(merged(cases.ids()), backbone(cases.ids()), atol=1e-5)


def test_a_language_model_generates_with_its_adapters():
    model = cases.make("causal_lm", **{**SMALL, **ONE_LAYER})
    for change in (lambda: cases.perturb(_with_adapters(model)), model.merge_adapters):
        change()
        ids = cases.ids(1, 20)
        (new,) = model.generate(ids.tolist(), max_new_tokens=3)
        logits = np.asarray(model(np.concatenate([ids, [new]], axis=1)))[0]
        assert new == list(logits[19:22].argmax(axis=-1))
        np.testing.assert_allclose(model.predict(ids, verbose=0), model(ids), atol=1e-4)


def test_adapters_before_a_head_is_put_on(tmp_path):
    """What was done to a backbone before the model was made on it is in the model's config, too."""
    backbone = cases.make("causal_lm", **SMALL).backbone
    backbone.train_adapters(2)
    backbone.get_layer("stack").branches[0].dropout.rate = 0.5
    model = cases.perturb(ReformerClassifier(backbone=backbone, num_classes=3, pooling="last"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config() and _names(loaded) == _names(model)
    assert loaded.backbone.get_layer("stack").branches[0].dropout.rate == 0.5
    np.testing.assert_array_equal(loaded(cases.ids()), model(cases.ids()))


def test_merged_kernels_stay_frozen_as_the_rest_of_the_backbone():
    model = _adapted("classifier", **ONE_LAYER)
    model.merge_adapters()
    assert not model.backbone.trainable_weights and model.trainable_weights
    copy = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert _names(copy) == _names(model)
    model.backbone.trainable = True
    assert all(v.trainable for v in model.backbone.weights)
    # A layer by itself.
    layer = model.backbone.token_embedding
    layer.enable_lora(2)
    layer.merge_lora()
    assert layer.embeddings.trainable


def test_adapters_of_a_frozen_stack_are_trained():
    model = cases.make("causal_lm", **ONE_LAYER)
    stack = model.backbone.get_layer("stack")
    stack.trainable = False
    model.train_adapters(2)
    assert len(stack.trainable_weights) == 4 and all(v.name.startswith("lora_") for v in stack.trainable_weights)


def test_weights_of_layers_with_sublayers_are_frozen_too():
    backbone = cases.make("causal_lm", **ONE_LAYER).backbone
    branch = backbone.get_layer("stack").branches[0]
    branch._tracker.unlock()
    branch.gain = branch.add_weight((3,), name="gain")
    backbone.train_adapters(2)
    assert not branch.gain.trainable and {name.split("_")[0] for name in _names(backbone)} == {"lora"}


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"rank": 2, "lora_alpha": -1.0}, {"rank": 2, "kernels": ["kernel"]}])
def test_nothing_is_frozen_by_wrong_arguments(wrong):
    model = cases.make("causal_lm", **ONE_LAYER)
    with pytest.raises(ValueError, match="must be"):
        model.train_adapters(**wrong)
    assert all(v.trainable for v in model.weights)


def test_kernels_may_be_an_iterator():
    model = cases.make("causal_lm", **ONE_LAYER)
    model.train_adapters(2, kernels=(name for name in ["query", "value"]))
    assert len(model.trainable_variables) == 4 + 1  # The head has a bias.


def test_exports_are_checked_before_a_copy_is_made(tmp_path, monkeypatch):
    model = _adapted("classifier", **ONE_LAYER)
    monkeypatch.setattr(fine_tuning, "merged", lambda model: pytest.fail("copied"))
    with pytest.raises(ValueError, match="card must be what JSON knows"):
        export_saved_model(model, tmp_path, card={"x": object()})


def test_a_model_that_cannot_be_copied_is_refused_with_the_way_out(tmp_path):
    inputs = keras.Input((None,), dtype="int32")
    embedding = TokenEmbedding(20, 8)
    model = keras.Model(inputs, TokenHead(20, embedding)(embedding(inputs)))
    embedding.enable_lora(2)
    with pytest.raises(ValueError, match=r"must be one that can be cloned.*merge_lora\(\).*Received: .*embedding must"):
        export_saved_model(model, tmp_path)
    embedding.merge_lora()
    assert fine_tuning.merged(model) is model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.train_adapters(2, kernels=["kernel"]),
            r"kernels must be .*among \['embeddings',.*kernels=\['kernel",
        ),
        (lambda m: m.train_adapters(2, kernels="value"), "kernels must be a list of names among.*kernels='value'"),
        (lambda m: m.train_adapters(-1), "rank must be a positive integer. Received: rank=-1"),
        (
            lambda m: (m.train_adapters(2), m.train_adapters(2)),
            r"train_adapters must not be called on a model with.*merge_adapters\(\).*Received: .*lsh_attention_1",
        ),
        (lambda m: m.merge_adapters(), "merge_adapters must come after train_adapters. Received: .*without adapters"),
        (lambda m: m.quantize("int8"), "filters must select layers of Keras.*Received: filters=None.*token_embedding"),
    ],
)
def test_what_is_refused(change, message):
    model = cases.make("causal_lm", **SMALL)
    with pytest.raises(ValueError, match=message):
        change(model)


def test_the_head_alone_is_quantized():
    model = cases.make("classifier", **SMALL)
    model.quantize("int8", filters=["hidden$", "output_projection"])
    assert model.hidden.quantization_mode == model.output_projection.quantization_mode == "int8"
    assert np.isfinite(model(cases.ids())).all()

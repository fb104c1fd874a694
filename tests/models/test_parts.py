"""Changes of a model's parts survive cloning, configs, files and copies, and training can be continued."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ResidualBranch
from reformer_tf.models import ReformerBackbone, ReformerCausalLM
from tests.models import cases


def _stack(model):
    return model.backbone.get_layer("stack")


def _freeze(*parts):
    for part in parts:
        part.trainable = False


def _set(part, **attributes):
    for name, value in attributes.items():
        setattr(part, name, value)


# By case of `cases.MODELS`.
ACTS = {
    "causal_lm": {
        "backbone": lambda m: _freeze(m.backbone),
        "embedding": lambda m: _freeze(m.backbone.token_embedding),
        "branch": lambda m: _freeze(_stack(m).branches[3]),
        "normalization": lambda m: _freeze(_stack(m).branches[0].normalization),
        "all_but_the_head": lambda m: (_freeze(m), _set(m.head, trainable=True)),
        "head_but_its_table": lambda m: (_freeze(m.head), _set(m.backbone.token_embedding, trainable=True)),
        "one_weight": lambda m: _freeze(m.trainable_variables[4]),
        "policy_of_a_layer": lambda m: _set(_stack(m).branches[0].layer, dtype_policy="mixed_bfloat16"),
        "policy_of_the_head": lambda m: _set(m.head, dtype_policy="mixed_bfloat16"),
        "policy_of_the_model": lambda m: _set(m, dtype_policy="mixed_float16"),
        "reversible": lambda m: _set(_stack(m), reversible=False),
        "rate": lambda m: _set(_stack(m).branches[1].dropout, rate=0.5),
        "epsilon": lambda m: _set(_stack(m).branches[1].normalization, epsilon=0.5),
        "causal": lambda m: _set(_stack(m).branches[0].layer, causal=False),
        "dropout": lambda m: _set(_stack(m).branches[2].layer, dropout=0.5, seed=99),
    },
    "classifier": {
        "hidden": lambda m: _freeze(m.hidden),
        "output": lambda m: _freeze(m.output_projection),
        "quantized": lambda m: m.hidden.quantize("int8"),
    },
    "span_predictor": {"span": lambda m: _freeze(m.span, m.backbone.get_layer("final_norm"))},
}
# Quick tests make several changes at once.
_TOGETHER = [
    ("causal_lm", ["branch", "embedding", "one_weight", "policy_of_a_layer", "rate", "epsilon", "causal", "dropout"]),
    ("causal_lm", ["all_but_the_head", "policy_of_the_head", "policy_of_the_model", "reversible"]),
    ("classifier", ["hidden"]),
    ("span_predictor", ["span"]),
]
each = pytest.mark.parametrize(
    ("case", "acts"),
    [
        *_TOGETHER,
        *(pytest.param(case, [act], marks=pytest.mark.slow) for case, acts in ACTS.items() for act in acts),
    ],
)


def _flags(model):
    return [weight.trainable for weight in model.weights]


def _trainable(model):
    return [next(i for i, w in enumerate(model.weights) if w is v) for v in model.trainable_variables]


@each
def test_clones_configs_and_files(case, acts, tmp_path):
    model = cases.make(case, dropout=0.1)
    assert "parts" not in model.get_config()
    for act in acts:
        ACTS[case][act](model)
    config = model.get_config()
    assert config["parts"]
    model.save(tmp_path / "model.keras")
    others = [
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
        type(model).from_config(json.loads(json.dumps(config))),
    ]
    options = {"seed": tf.constant([1, 2]), "training": True}
    expected = cases.flat(model(cases.ids(), **options))
    for other in others:
        assert other.get_config() == config
        assert _flags(other) == _flags(model) and _trainable(other) == _trainable(model)
    for a, b in zip(cases.flat(others[0](cases.ids(), **options)), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_copies_and_pickles():
    model = cases.make("causal_lm")
    ACTS["causal_lm"]["branch"](model)
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.get_config() == model.get_config() and _flags(other) == _flags(model)


def test_a_backbone_keeps_its_parts_too():
    backbone = cases.make("causal_lm").backbone
    backbone.get_layer("stack").branches[1].trainable = False
    other = ReformerBackbone.from_config(json.loads(json.dumps(backbone.get_config())))
    assert _flags(other) == _flags(backbone) and not all(_flags(backbone)[:-1])
    assert other.get_config() == backbone.get_config()


def test_training_goes_on_after_a_file_as_without(tmp_path):
    """Frozen parts, the optimizer's state and the generators' states: the seeds of the next steps are the same."""
    ids = cases.ids()
    model = cases.make("causal_lm", dropout=0.2, num_layers=1, attention_layers=["local"])
    _freeze(model.backbone.token_embedding, _stack(model).branches[0].normalization)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    model.fit(ids, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    losses = [m.fit(ids, epochs=2, verbose=0).history["loss"] for m in (model, loaded)]
    np.testing.assert_array_equal(*losses)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_files_hold_the_states_of_generators(tmp_path):
    models = [cases.make("causal_lm", dropout=0.2, num_layers=1, attention_layers=["local"]) for _ in range(2)]
    models[0](cases.ids(), training=True)
    models[0].save_weights(tmp_path / "w.weights.h5")
    models[1].load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(*(m(cases.ids(), training=True) for m in models))


def test_a_map_of_policies_comes_back():
    policies = keras.dtype_policies.DTypePolicyMap()
    policies["stack/local_attention_0_branch/local_attention_0"] = keras.DTypePolicy("mixed_bfloat16")
    model = cases.make("causal_lm", dtype=policies)
    other = type(model).from_config(json.loads(json.dumps(model.get_config())))
    for each in (model, other):
        assert [b.layer.compute_dtype for b in _stack(each).branches[:2]] == ["bfloat16", "float32"]


def test_what_a_config_cannot_say_is_refused_when_it_is_made():
    def refused(change, what, case="causal_lm"):
        model = cases.make(case, num_layers=1, attention_layers=["local"], attention_options=None)
        change(model)
        with pytest.raises(ValueError, match=rf"must be able to say.*save_weights.*Received: .*{what}"):
            model.get_config()

    relu = keras.activations.relu
    refused(lambda m: _set(m, head=keras.layers.Dense(5)), r"\.head, where .*Dense\) was put there")
    refused(lambda m: _set(m, more=keras.layers.Dense(5)), r"\.more, where .*Dense\) was put there")
    refused(lambda m: _set(_stack(m).branches[1].layer, activation=relu), r"branches\[1\]\.layer, where activation was")
    more = lambda layer: (layer._tracker.unlock(), layer.add_weight((2,), name="more"))
    refused(lambda m: more(m.hidden), r"\.hidden, where weights were added", case="classifier")
    with pytest.raises(ValueError, match=r"parts must be among .*Received: 'nothing'"):
        type(model := cases.make("causal_lm")).from_config({**model.get_config(), "parts": {"nothing": {}}})


def test_somebodys_subclass_may_have_parts_of_its_own():
    class Mine(ReformerCausalLM):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.head.trainable = False
            self.extra = keras.layers.Dense(3)

    model = Mine(**{**cases.ARGUMENTS, "num_layers": 1, "attention_layers": ["local"]})
    other = Mine.from_config(model.get_config())
    assert not other.head.trainable and other.extra.trainable


def test_a_branch_by_itself_keeps_what_was_done_to_its_parts():
    branch = ResidualBranch(keras.layers.Dense(6), dropout=0.1, seed=1)
    branch.build((None, None, 6))
    _freeze(branch.normalization)
    _set(branch.dropout, rate=0.5)
    _set(branch, dtype_policy="mixed_bfloat16")
    config = branch.get_config()
    other = ResidualBranch.from_config(json.loads(json.dumps(config)))
    other.build((None, None, 6))
    assert other.get_config() == config
    assert [w.trainable for w in other.weights] == [w.trainable for w in branch.weights]
    # The layer was made before the branch got another policy.
    assert branch.normalization.compute_dtype == other.normalization.compute_dtype == "float32"


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (lambda m: _stack(m).branches[2].layer, "num_hashes"),
        (lambda m: _stack(m).branches[0].layer, "chunk_length"),
        (lambda m: _stack(m).branches[1].layer, "intermediate_dim"),
        (lambda m: m.backbone.token_embedding, "hidden_dim"),
        (lambda m: m.head, "vocabulary_size"),
    ],
)
def test_arguments_that_decide_weights_are_not_set_later(part, name):
    with pytest.raises(ValueError, match=rf"{name} must be as it was when the layer was made.*Received: {name}=7"):
        setattr(part(cases.make("causal_lm")), name, 7)


def test_a_tied_head_stays_tied_in_a_file_and_is_not_cloned_apart(tmp_path):
    model = cases.make("causal_lm")
    outer = keras.Model(model.backbone.input, model.head(model.backbone.output))
    outer.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("head").embedding is loaded.get_layer("token_embedding")
    np.testing.assert_allclose(loaded(cases.ids()), outer(cases.ids()), atol=1e-6)
    with pytest.raises(ValueError, match="embedding must be a layer of the new model.*Received: .*token_embedding"):
        keras.models.clone_model(outer)


def test_checkpoints_of_tensorflow_hold_all_weights(tmp_path):
    model = cases.make("causal_lm")
    before, checkpoint = model.get_weights(), tf.train.Checkpoint(model=model)
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    model.set_weights([np.zeros_like(weight) for weight in before])
    checkpoint.read(path).assert_consumed()
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)

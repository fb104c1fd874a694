"""Models on a backbone that is there, such as a language model's."""

import json

import keras
import numpy as np
import pytest

from reformer_tf.models import ReformerBackbone, ReformerClassifier, ReformerMaskedLM, ReformerSpanPredictor
from tests.models import cases

SHALLOW = {"num_layers": 1, "attention_layers": ["local"]}
MODELS = {
    "classifier": lambda backbone: ReformerClassifier(backbone=backbone, num_classes=3, pooling="last"),
    "span_predictor": lambda backbone: ReformerSpanPredictor(backbone=backbone),
    "masked_lm": lambda backbone: ReformerMaskedLM(backbone=backbone, tie_embeddings=False),
}


class _Subclass(ReformerBackbone):
    pass


def _backbone(causal=True, **changes):
    arguments = {"dropout": 0.2, "seed": 7, "gated": True, **cases.ARGUMENTS, **SHALLOW, **changes}
    return cases.perturb(ReformerBackbone(**arguments, causal=causal))


@pytest.mark.parametrize("case", MODELS)
def test_the_backbone_is_shared_and_the_model_is_saved_with_it(case, tmp_path):
    backbone = _backbone(causal=case != "masked_lm", dtype="mixed_bfloat16")
    backbone.token_embedding.trainable = backbone.get_layer("stack").trainable = False
    model = MODELS[case](backbone)
    assert model.backbone is backbone
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    seed = np.array([1, 2])
    for other in (loaded, again):
        assert other.get_config() == model.get_config() and len(other.trainable_variables) == len(
            model.trainable_variables
        )
        for options in ({}, {"seed": seed, "training": True}):
            for a, b in zip(
                cases.flat(other(cases.ids(), **options)), cases.flat(model(cases.ids(), **options)), strict=True
            ):
                np.testing.assert_array_equal(a, b)


def test_a_model_on_a_backbone_is_that_of_the_same_arguments():
    arguments = {**cases.ARGUMENTS, **SHALLOW, "seed": 5, "dropout": 0.2}
    whole = cases.perturb(ReformerClassifier(**arguments, num_classes=3))
    other = ReformerClassifier(backbone=ReformerBackbone(**arguments), num_classes=3)
    other.set_weights(whole.get_weights())
    options = {"seed": np.array([1, 2]), "training": True}
    np.testing.assert_array_equal(other(cases.ids(), **options), whole(cases.ids(), **options))
    assert other.get_config().keys() == whole.get_config().keys()


def test_the_last_token_is_pooled():
    model, ids, mask = MODELS["classifier"](_backbone()), cases.ids(), cases.mask()
    mask[2] = False
    vectors = np.asarray(model.backbone(ids, mask=mask))
    last = [vectors[0, -1], vectors[1, 24], np.zeros(16)]
    expected = model.output_projection(model.hidden(np.stack(last)[:, None]))[:, 0]
    np.testing.assert_allclose(model(ids, mask=mask), expected, atol=1e-5)
    # Padding, and what is in it, changes nothing.
    padded = np.concatenate([ids, cases.ids(length=9, seed=4)], axis=1)
    np.testing.assert_allclose(model(padded, mask=np.pad(mask, [(0, 0), (0, 9)])), expected, atol=1e-5)


def test_files_of_causal_classifiers_with_the_first_token_load():
    whole = ReformerClassifier(**{**cases.ARGUMENTS, **SHALLOW}, causal=True, num_classes=3, pooling="last")
    config = {**whole.get_config(), "pooling": "first"}
    loaded = ReformerClassifier.from_config(config)
    assert loaded.pooling == "first" and loaded.get_config() == config
    loaded.set_weights(whole.get_weights())
    ids = cases.ids()
    np.testing.assert_allclose(loaded(ids), whole(ids[:, :1]), atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda b: ReformerClassifier(backbone=b, num_classes=2),
            r'pooling must be "last" or "mean" if the backbone is causal.*Received: pooling=.first., causal=True',
        ),
        (
            lambda b: ReformerClassifier(**{**cases.ARGUMENTS, **SHALLOW}, causal=True, num_classes=2),
            'pooling must be "last" or "mean" if the backbone is causal',
        ),
        (
            lambda b: ReformerClassifier.from_preset("reformer-enwik8", causal=True, num_classes=2),
            'pooling must be "last" or "mean" if the backbone is causal',
        ),
        (
            lambda b: ReformerSpanPredictor(backbone=_Subclass(**cases.ARGUMENTS)),
            "must be a ReformerBackbone.*not of a subclass.*Received: _Subclass",
        ),
        (lambda b: ReformerMaskedLM(backbone=b), "backbone must not be causal.*Received: .*causal=True"),
        (
            lambda b: ReformerSpanPredictor(backbone=b, hidden_dim=8),
            r"hidden_dim must be left out.*\{'hidden_dim': 8\}",
        ),
        (
            lambda b: ReformerSpanPredictor(backbone=b, seed=0, rotary=False),
            "seed, rotary must be left out with backbone",
        ),
        (
            lambda b: ReformerClassifier(backbone=b, num_classes=2, pooling="last", dropout=0.0),
            "dropout must be left out",
        ),
        (lambda b: ReformerSpanPredictor(backbone=b, heads=2), "Arguments of ReformerSpanPredictor must be.*: heads"),
        (
            lambda b: ReformerSpanPredictor(backbone=keras.Model(b.input, b.output)),
            "must be a ReformerBackbone.*Functional",
        ),
        (
            lambda b: ReformerSpanPredictor(20, 90, num_layers=2),
            "hidden_dim, num_heads, .* must be passed to ReformerSpan",
        ),
        (
            lambda b: ReformerClassifier(backbone=b),
            "num_classes must be a positive integer. Received: num_classes=None",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(_backbone())

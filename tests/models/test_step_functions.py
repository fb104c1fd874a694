"""Functions that Keras made of a model's steps, after another model on the same backbone got or merged adapters."""

import numpy as np
import pytest

from reformer_tf.models import ReformerClassifier
from tests.models import cases

ONE_LAYER = {"num_layers": 1, "attention_layers": ["local"]}


def test_other_models_on_the_backbone_use_its_adapters():
    language_model = cases.make("causal_lm", **ONE_LAYER)
    models = [language_model, language_model.backbone]
    model = ReformerClassifier(backbone=language_model.backbone, num_classes=3, pooling="last")
    language_model.compile("sgd", run_eagerly=False, jit_compile=False)
    language_model.backbone.compile(jit_compile=False)

    def check():
        for other in models:
            np.testing.assert_allclose(other.predict(ids, verbose=0), other(ids), atol=1e-4)

    ids = cases.ids(1, 12)
    check()
    model.train_adapters(2)
    cases.perturb(model)
    check()
    model.merge_adapters()
    check()
    # Functions are made again only then.
    function = language_model.predict_function
    check()
    assert language_model.predict_function is function


def test_training_another_model_on_the_backbone_asks_for_compile():
    language_model = cases.make("causal_lm", **ONE_LAYER)
    model = ReformerClassifier(backbone=language_model.backbone, num_classes=3, pooling="last")
    language_model.compile("sgd", run_eagerly=True)
    ids = cases.ids(1, 12)
    language_model.fit(ids, verbose=0)
    for change in (lambda: model.train_adapters(2), model.merge_adapters):
        change()
        before = language_model.get_weights()
        with pytest.raises(ValueError, match=r"must be compiled again, by `compile\(\)`.*Received: .*before such"):
            language_model.fit(ids, verbose=0)
        for a, b in zip(language_model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        language_model.evaluate(ids, verbose=0)
        language_model.compile("sgd", run_eagerly=True)
        language_model.fit(ids, verbose=0)

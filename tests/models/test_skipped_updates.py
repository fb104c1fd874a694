"""In Keras' fit a batch whose loss is not finite changes nothing, and training continues with the next batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from tests.models.test_ids_outside import VOCABULARY, make

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# The bad value in the second of three batches: an id in x, or a label in y.
CASES = {
    "causal_lm": ("id", None),
    "causal_lm_masked": ("id", None),
    "masked_lm": ("label", None),
    "span_predictor": ("label", None),
    "classifier": ("id", _LOSS),
}


def _batches(case, wrong=True):
    """Three batches of four rows; the second one cannot be used."""
    rng = np.random.default_rng(3)
    ids = rng.integers(0, VOCABULARY, (3, 4, 8)).astype("int32")
    labels = {
        "masked_lm": rng.integers(0, VOCABULARY, (3, 4, 8)),
        "span_predictor": {"start": rng.integers(0, 8, (3, 4)), "end": rng.integers(0, 8, (3, 4))},
        "classifier": rng.integers(0, 3, (3, 4)),
    }.get(case.removesuffix("_masked"))
    mask = np.ones(ids.shape, "int32")
    if case == "causal_lm_masked":
        # A row of one token has no target.
        mask[1, 3, 1:] = 0
    if wrong and CASES[case][0] == "id":
        # The last row belongs to only one of several replicas; neither pooling nor a loss sees this token.
        ids[1, 3, 0 if case == "causal_lm_masked" else 7] = 300
    if wrong and CASES[case][0] == "label":
        keras.tree.flatten(labels)[-1][1, 3] = 300
    x = {"ids": ids, "mask": mask}
    return tf.data.Dataset.from_tensor_slices(x if labels is None else (x, labels))


def _state(model):
    return [v.numpy() for v in [*model.trainable_variables, *model.optimizer.variables]]


class _States(keras.callbacks.Callback):
    """The states of the model and of the optimizer after each call of the train function."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(_state(self.model))


def _fitted(case, wrong=True, optimizer=None, **mode):
    model, states = make(case.removesuffix("_masked")), _States()
    model.compile(optimizer or keras.optimizers.Adam(0.1), CASES[case][1], **mode)
    history = model.fit(_batches(case, wrong), verbose=0, shuffle=False, callbacks=[states]).history
    return model, history["loss"], states.found


def _assert_skipped(case, **mode):
    model, losses, (first, second, third) = _fitted(case, **mode)
    assert np.isnan(losses).all()
    assert int(model.optimizer.iterations.numpy()) == 2
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(a).all() for a in third)
    assert np.abs(third[0] - second[0]).max() > 1e-3


# The tests with XLA and with several replicas below cover the causal language model.
@pytest.mark.parametrize(
    "case",
    [
        "classifier",
        "masked_lm",
        pytest.param("causal_lm_masked", marks=pytest.mark.slow),
        pytest.param("span_predictor", marks=pytest.mark.slow),
    ],
)
def test_the_complete_update_is_skipped(case):
    _assert_skipped(case, jit_compile=False)


@pytest.mark.parametrize("case", ["causal_lm", pytest.param("classifier", marks=pytest.mark.slow)])
def test_compiled_by_xla(case):
    _assert_skipped(case, jit_compile=True)


@pytest.mark.slow
def test_several_steps_at_a_time():
    model, losses, states = _fitted("causal_lm", jit_compile=False, steps_per_execution=3)
    assert np.isnan(losses).all() and int(model.optimizer.iterations.numpy()) == 2
    assert all(np.isfinite(a).all() for a in states[-1])


@pytest.mark.parametrize("case", ["causal_lm", pytest.param("classifier", marks=pytest.mark.slow)])
def test_all_replicas_skip_what_one_of_them_cannot_use(mirrored_strategy, case):
    with mirrored_strategy.scope():
        _assert_skipped(case, jit_compile=False)


@pytest.mark.parametrize("case", ["causal_lm", "masked_lm", "span_predictor"])
def test_eager_mode_says_what_is_wrong_and_changes_nothing(case):
    model = make(case)
    model.compile("adam", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    before = _state(model)
    with pytest.raises(ValueError, match=r"must be integers in \[0, \d+\) wherever they count. Received: 300"):
        model.fit(_batches(case).skip(1).take(1), verbose=0, shuffle=False)
    for a, b in zip(before, _state(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_scale_hears_of_gradients_and_not_of_losses():
    scaled = lambda scale: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=scale)

    model, losses, _ = _fitted("causal_lm", True, scaled(8.0), jit_compile=False)
    assert np.isnan(losses).all()
    assert float(model.optimizer.dynamic_scale) == 8.0 and int(model.optimizer.iterations.numpy()) == 2
    # The loss is finite, and its gradient, times the scale, is not.
    model = make("causal_lm")
    model.backbone.get_layer("final_norm").gamma.assign(np.full(8, 1e3))
    model.compile(scaled(3e38), run_eagerly=True)
    loss = model.fit(_batches("causal_lm", False), verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(loss).all()
    assert float(model.optimizer.dynamic_scale) == pytest.approx(3e38 / 8)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_weight_of_nan_skips_the_update():
    model = make("masked_lm")
    model.compile("adam", run_eagerly=True)
    before = model.get_weights()
    ids = np.ones((2, 8), "int32")
    assert np.isnan(model.train_on_batch(ids, ids, sample_weight=np.array([1.0, np.nan])))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_of_hugging_faces_collators_train_a_masked_language_model():
    ids = np.random.default_rng(1).integers(0, VOCABULARY, (4, 8)).astype("int32")
    labels = np.where(np.random.default_rng(2).random(ids.shape) < 0.3, ids, -100)
    losses = []
    for data in ((ids, labels), (ids, np.where(labels == -100, 0, labels), (labels != -100).astype("float32"))):
        model = make("masked_lm")
        model.compile("sgd", run_eagerly=True)
        losses.append([model.train_on_batch(*data) for _ in range(2)])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert isinstance(model, models.ReformerMaskedLM)

"""Metrics of `compile` with the models' own losses: values, keys, memory, and refused metrics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution import row_chunks
from tests.models.test_ids_outside import VOCABULARY, make

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")


def _metrics():
    return [
        "accuracy",
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nats"),
        keras.metrics.SparseTopKCategoricalAccuracy(3, name="top"),
    ]


def _data(batch=6, length=8):
    rng = np.random.default_rng(1)
    ids, targets = rng.integers(0, VOCABULARY, (2, batch, length)).astype("int32")
    return ids, targets, rng.random((batch, length)).astype("float32")


def _compiled(case, loss=None, **options):
    model = make(case)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=_metrics(), weighted_metrics=_metrics(), **options)
    return model


@pytest.mark.parametrize("mode", ["eager", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("graph", "xla"))])
def test_they_equal_those_of_all_logits(monkeypatch, mode):
    options = {"run_eagerly": True} if mode == "eager" else {"jit_compile": mode == "xla"}
    ids, targets, weights = _data()
    results = []
    for loss in (None, LOGITS):
        # Several chunks of rows, the last of them padded.
        monkeypatch.setattr(row_chunks, "rows_in_budget", lambda width: 7)
        model = _compiled("masked_lm", loss, **options)
        history = model.fit(ids, targets, sample_weight=weights, batch_size=4, verbose=0, shuffle=False).history
        evaluated = model.evaluate(ids, targets, sample_weight=weights, batch_size=6, verbose=0, return_dict=True)
        results.append((history, evaluated))
    (history, evaluated), (expected, expected_metrics) = results
    assert set(history) == set(expected) and {"accuracy", "nats", "top", "weighted_nats"} < set(history)
    for name, values in history.items():
        # For batches with uneven weights Keras takes the mean over batches.
        if name != "loss":
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, err_msg=name)
    for name, value in evaluated.items():
        assert value == pytest.approx(expected_metrics[name], rel=1e-4), name


def test_what_does_not_count_is_left_out():
    model, (ids, targets, weights) = _compiled("masked_lm", run_eagerly=True), _data()
    mask = np.arange(8) < np.array([8, 7, 3, 8, 5, 0])[:, None]
    targets[0, :4], weights[1] = -100, 0.0
    counted = mask & (targets != -100) & (weights != 0)
    found = model.evaluate({"ids": ids, "mask": mask}, targets, sample_weight=weights, verbose=0, return_dict=True)
    right = np.asarray(model(ids, mask=mask)).argmax(axis=-1) == targets
    assert found["accuracy"] == pytest.approx(right[counted].mean(), rel=1e-5)
    weighted = weights * counted
    assert found["weighted_accuracy"] == pytest.approx((right * weighted).sum() / weighted.sum(), rel=1e-5)
    assert found["weighted_nats"] == pytest.approx(found["loss"], rel=1e-5)


def test_a_causal_language_model_that_was_compiled_with_metrics(monkeypatch):
    largest = []
    plain = keras.metrics.SparseCategoricalAccuracy.update_state

    def watched(self, y_true, y_pred, sample_weight=None):
        largest.append(y_pred.shape[0])
        return plain(self, y_true, y_pred, sample_weight)

    monkeypatch.setattr(keras.metrics.SparseCategoricalAccuracy, "update_state", watched)
    monkeypatch.setattr(row_chunks, "rows_in_budget", lambda width: 7)
    model, (ids, _, _) = make("causal_lm"), _data()
    model.compile("adam", metrics=["accuracy"], jit_compile=False)
    history = model.fit(ids, validation_data=(ids,), batch_size=6, verbose=0).history
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert largest and all(rows is not None and rows <= 7 for rows in largest)
    expected = (np.asarray(model(ids[:, :-1])).argmax(axis=-1) == ids[:, 1:]).mean()
    assert history["val_accuracy"][-1] == pytest.approx(expected, rel=1e-5)
    model.compile("adam", metrics=["accuracy"], run_eagerly=True)
    assert model.test_on_batch(ids) == pytest.approx([history["val_loss"][-1], expected], rel=1e-5)
    # Of the weights before the update.
    assert model.train_on_batch(ids, return_dict=True)["accuracy"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_on_several_replicas(mirrored_strategy):
    ids, targets, weights = _data(batch=4)
    results = []
    for scope in (tf.distribute.get_strategy(), mirrored_strategy):
        with scope.scope():
            model = _compiled("masked_lm", jit_compile=False)
        results.append(model.evaluate(ids, targets, sample_weight=weights, verbose=0, return_dict=True))
    assert results[0] == pytest.approx(results[1], rel=1e-4)


@pytest.mark.parametrize("run_eagerly", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_of_a_batch_that_cannot_be_used_they_keep_what_they_were(run_eagerly):
    model, (ids, targets, _) = make("masked_lm"), _data()
    model.compile("sgd", metrics=_metrics(), run_eagerly=run_eagerly, jit_compile=False)
    bad = np.full(6, np.nan, "float32")
    weights = np.concatenate([np.ones(6, "float32"), bad])
    # With other targets, by which other metrics would come out.
    both = [np.concatenate(x) for x in ((ids, ids), (targets, (targets + 1) % VOCABULARY))]
    found = model.evaluate(*both, sample_weight=weights, batch_size=6, verbose=0, return_dict=True)
    expected = model.evaluate(ids, targets, batch_size=6, verbose=0, return_dict=True)
    assert np.isnan(found.pop("loss")) and np.isfinite(expected.pop("loss"))
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_span_predictor_without_a_loss_is_one_with_the_mean_of_both():
    ids = _data()[0]
    mask = np.arange(8) < np.array([8, 7, 6, 8, 7, 8])[:, None]
    start, end = np.array([0, 1, 2, -100, 3, 4]), np.array([5, 5, 5, -100, 6, 7])
    weights = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 1.0], "float32")
    model = make("span_predictor")
    metrics = {"start": ["accuracy"], "end": ["accuracy"]}
    model.compile(keras.optimizers.SGD(0.1), metrics=metrics, run_eagerly=True)
    x, y = {"ids": ids, "mask": mask}, {"start": start[:, None], "end": end}
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    total = weight = 0
    outputs = model(ids, mask=mask)
    for name, labels in (("start", start), ("end", end)):
        logits, counted = np.asarray(outputs[name], np.float64), (labels >= 0) & (weights > 0)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), np.maximum(labels, 0)]
        total, weight = total + (losses * weights)[counted].sum(), weight + weights[counted].sum()
        accuracy = (logits.argmax(axis=1) == labels)[counted].mean()
        assert found[f"{name}_accuracy"] == pytest.approx(accuracy)
    assert found["loss"] == pytest.approx(total / weight, rel=1e-5)
    for labels, rule in (
        (8, r"integers in \[0, 8\)"),
        (-1, "integers in"),
        (7, "indices of tokens that are not masked"),
    ):
        wrong = {**y, "end": np.where(np.arange(6) == 1, labels, end)}
        with pytest.raises(ValueError, match=rf"y\['end'\] must be {rule}.*Received: {labels}"):
            model.evaluate(x, wrong, verbose=0)


def test_losses_of_weights_are_part_of_the_loss():
    ids = _data()[0]
    model = make("causal_lm")
    model.compile("sgd", run_eagerly=True)
    plain = model.evaluate(ids, verbose=0)
    model.head.bias.regularizer = keras.regularizers.L2(0.5)
    expected = plain + 0.5 * np.square(model.head.bias.numpy()).sum()
    assert model.evaluate(ids, verbose=0) == pytest.approx(expected, rel=1e-5)


class _NoWeights(keras.metrics.Metric):
    def update_state(self, y_true, y_pred):
        pass


def _mean_itself(y_true, y_pred):
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True))


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize(
    "metric, name",
    [
        (_NoWeights(name="no_weights"), "no_weights"),
        (_mean_itself, "_mean_itself"),
        (keras.metrics.MeanSquaredError(), "mean_squared_error"),
        (keras.metrics.Mean(), "mean"),
    ],
)
def test_a_metric_that_cannot_leave_tokens_out_is_refused(metric, name, argument):
    with pytest.raises(ValueError, match=f"whose update_state takes sample_weight.*Received: '{name}'"):
        make("causal_lm").compile("adam", **{argument: [metric]})


def test_compiled_again_it_forgets_the_loss_and_metrics_of_before():
    ids = _data()[0]
    model = make("causal_lm")
    model.compile("sgd", LOGITS, metrics=["accuracy"], run_eagerly=True)
    model.evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
    model.compile("sgd", run_eagerly=True)
    assert model.evaluate(ids, verbose=0) == pytest.approx(np.mean(model.token_losses(ids)), rel=1e-5)


def test_a_compiled_model_is_loaded_compiled(tmp_path):
    ids = _data()[0]
    model = make("causal_lm")
    model.compile("adam", metrics=["accuracy"], run_eagerly=True)
    model.fit(ids, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(ids, verbose=0) == pytest.approx(model.evaluate(ids, verbose=0), rel=1e-5)
    assert int(loaded.optimizer.iterations) == 1

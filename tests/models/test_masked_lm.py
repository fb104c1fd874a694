"""The masked language model: its losses against numpy, and training without logits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerMaskedLM
from reformer_tf.ops.execution import row_chunks
from tests.models import cases


def _cross_entropies(logits, targets):
    logits = np.asarray(logits, np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_embeddings": False, "head_bias": False}, {"tie_embeddings": False, **cases.TWO_STREAMS}],
    ids=["tied", "untied", "two_streams"],
)
def test_token_losses_are_the_cross_entropies_of_the_logits(monkeypatch, changes):
    model, ids, targets, mask = cases.make("masked_lm", **changes), cases.ids(), cases.ids(seed=5), cases.mask()
    expected = _cross_entropies(model(ids, mask=mask), targets) * mask
    # Many chunks of the head.
    monkeypatch.setattr(row_chunks, "rows_in_budget", lambda width: 7)
    losses = model.token_losses(ids, targets, mask=mask)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    # Ids under the mask may be anything.
    wild = np.where(mask, targets, -100)
    np.testing.assert_array_equal(model.token_losses(ids, wild, mask=mask), losses)


def test_it_sees_both_sides():
    model, ids = cases.make("masked_lm"), cases.ids()
    changed = ids.copy()
    changed[:, 30] = (changed[:, 30] + 1) % cases.VOCABULARY
    moved = np.abs(model(changed) - model(ids)).max(axis=(0, 2))
    assert moved[29] > 1e-3 and moved[31] > 1e-3


def test_evaluate_is_the_weighted_mean_of_the_losses():
    model, ids, targets, mask = cases.make("masked_lm"), cases.ids(), cases.ids(seed=5), cases.mask()
    model.compile("sgd", run_eagerly=True)
    losses = _cross_entropies(model(ids, mask=mask), targets)
    tokens = np.random.default_rng(0).random(ids.shape)
    rows = np.array([0.5, 2.0, 1.0])
    for weights, all_weights in (
        (None, mask),
        (tokens, tokens * mask),
        (rows, rows[:, None] * mask),
        (np.zeros(3), np.zeros(ids.shape)),
    ):
        data = {"ids": ids, "mask": mask}, targets, weights
        expected = (losses * all_weights).sum() / max(all_weights.sum(), 1e-9)
        # The losses of batches of two rows count by their weights.
        found = model.evaluate(*data[:2], sample_weight=weights, batch_size=2, verbose=0)
        assert found == pytest.approx(expected, rel=1e-4)


def test_fit_without_a_loss_is_fit_with_the_mean_loss_of_the_logits():
    ids, targets = cases.ids(), cases.ids(seed=5)
    weights = (np.random.default_rng(0).random(ids.shape) < 0.3).astype("float32")
    results = []
    for loss in (
        None,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
    ):
        model = cases.make("masked_lm", redraw_rotations=False)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
        model.fit(ids, targets, sample_weight=weights, epochs=2, verbose=0, shuffle=False)
        results.append(model.get_weights())
    assert np.abs(results[0][0] - cases.make("masked_lm").get_weights()[0]).max() > 1e-3
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_fit_learns_and_never_forms_the_logits(monkeypatch):
    """The hidden tokens follow from their neighbours: rows count up from a random start."""
    rng = np.random.default_rng(0)
    targets = ((rng.integers(0, 18, (16, 1)) + np.arange(24)) % 18).astype("int32")
    hidden = rng.random(targets.shape) < 0.15
    ids = np.where(hidden, 19, targets)
    model = ReformerMaskedLM(**{**cases.ARGUMENTS, "num_layers": 1, "attention_layers": ["local"], "dropout": 0.05})
    monkeypatch.setattr(row_chunks, "rows_in_budget", lambda width: 32)
    rows = []
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits

    def watched(labels, logits):
        rows.append(logits.shape[0])
        return plain(labels, logits)

    monkeypatch.setattr(tf.nn, "sparse_softmax_cross_entropy_with_logits", watched)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    data = tf.data.Dataset.from_tensors((ids, targets, hidden.astype("float32"))).repeat(10)
    history = model.fit(data, verbose=0, epochs=5, shuffle=False).history["loss"]
    assert history[-1] < 0.5 * history[0]
    assert rows and all(count is not None and count <= 32 for count in rows)


def test_fit_without_a_loss_says_what_it_takes():
    model, ids = cases.make("masked_lm"), cases.ids()
    model.compile("sgd", run_eagerly=True)
    for arguments, message in (
        ((ids,), "fit takes ids and targets. Received: no targets"),
        ((ids, ids[:, 1:]), r"targets must be a boolean or integer tensor \[batch, length\] = \(3, 50\)"),
        (({"ids": ids, "masks": ids}, ids), r"x must be ids, or a dict.*Received: \['ids', 'masks'\]"),
        ((ids, ids, np.ones((3, 49))), r"sample_weight must be \[batch\] or \[batch, length\] = \(3, 50\).*\(3, 49\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(*arguments[:2], sample_weight=arguments[2] if len(arguments) > 2 else None, verbose=0)


@pytest.mark.parametrize("causal", [True, False])
def test_causal_is_refused(causal):
    with pytest.raises(ValueError, match=f"causal is always False in ReformerMaskedLM. Received: causal={causal}"):
        ReformerMaskedLM(**cases.ARGUMENTS, causal=causal)

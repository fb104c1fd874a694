"""The span predictor: its head against numpy, masks, training."""

import keras
import numpy as np
import pytest

from reformer_tf.models import ReformerSpanPredictor
from tests.models import cases


@pytest.mark.parametrize("changes", [{}, cases.TWO_STREAMS], ids=["mean", "two_streams"])
def test_the_head_equals_numpy(changes):
    model, ids, mask = cases.make("span_predictor", **changes), cases.ids(), cases.mask()
    scores = np.asarray(model.backbone(ids, mask=mask)) @ np.asarray(model.span.kernel) + np.asarray(model.span.bias)
    outputs = model(ids, mask=mask)
    assert sorted(outputs) == ["end", "start"]
    for index, name in enumerate(("start", "end")):
        np.testing.assert_allclose(outputs[name][mask], scores[..., index][mask], atol=1e-4)
        np.testing.assert_array_equal(outputs[name][~mask], np.float32(-1e9))


def test_padding_its_content_and_neighbours_do_not_matter():
    # Without hashing, rounding errors stay small.
    model = cases.make("span_predictor", attention_layers=["local", "full"])
    ids, mask = cases.ids(), cases.mask()
    padded = np.concatenate([np.where(mask, ids, 7), cases.ids(length=31, seed=5)], axis=1)
    longer = model(padded, mask=np.pad(mask, [(0, 0), (0, 31)]))
    reversed_rows, unpadded = model(ids[::-1], mask=mask[::-1]), model(ids[1:2, :25])
    for name, expected in model(ids, mask=mask).items():
        np.testing.assert_allclose(longer[name][:, :50], expected, atol=1e-5)
        assert np.all(longer[name][:, 50:] == -1e9)
        np.testing.assert_allclose(reversed_rows[name][::-1], expected, atol=1e-5)
        np.testing.assert_allclose(unpadded[name][0], expected[1, :25], atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_learns(policy):
    """The span is between the ids 1 and 2; rows have different lengths, and one row is only padding."""
    rng = np.random.default_rng(0)
    ids = rng.integers(3, cases.VOCABULARY, (64, 20)).astype("int32")
    start, end = rng.integers(0, 4, 64), rng.integers(5, 10, 64)
    ids[np.arange(64), start], ids[np.arange(64), end] = 1, 2
    mask = np.arange(20) < rng.integers(10, 21, (64, 1))
    mask[0] = False
    shallow = {**cases.ARGUMENTS, "num_layers": 1, "attention_layers": ["full"]}
    model = ReformerSpanPredictor(**shallow, dropout=0.05, dtype=policy)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), {"start": loss, "end": loss}, run_eagerly=True)
    data, targets = {"ids": ids, "mask": mask}, {"start": start, "end": end}
    history = model.fit(data, targets, batch_size=32, epochs=8, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < 0.5 * history[0]
    found = model.predict(data, verbose=0)
    assert np.mean(found["start"].argmax(axis=1)[1:] == start[1:]) > 0.8
    assert np.mean(found["end"].argmax(axis=1)[1:] == end[1:]) > 0.8

"""A classifier of pairs: its head against numpy, padding and lengths, dropout, training, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM, ReformerClassifier, text_pairs
from tests.models import cases
from tests.models.test_classifier import NO_HASH, SHALLOW, _head

# Without hashing, rounding errors stay small.
PAIR = {"pair": True, **NO_HASH}


def _inputs(length=50, pair_length=50):
    return {"ids": cases.ids(length=length), "pair_ids": cases.ids(length=pair_length, seed=4)}


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_the_head_equals_numpy(pooling):
    model = cases.make("classifier", pooling=pooling, **PAIR)
    mask, pair_mask = cases.mask(), np.arange(40) < np.array([[40], [1], [17]])
    inputs = {**_inputs(50, 40), "mask": mask, "pair_mask": pair_mask}
    pooled = []
    for ids, real in ((inputs["ids"], mask), (inputs["pair_ids"], pair_mask)):
        vectors = np.asarray(model.backbone(ids, mask=real))
        seen = [v[m] for v, m in zip(vectors, real, strict=True)]
        pooled.append(np.stack([v[0] if pooling == "first" else v.mean(axis=0) for v in seen]))
    first, second = pooled
    expected = _head(model, np.concatenate([first, second, first * second, first - second], axis=1))
    np.testing.assert_allclose(model(inputs), expected, atol=1e-4)
    swapped = {"ids": inputs["pair_ids"], "pair_ids": inputs["ids"], "mask": pair_mask, "pair_mask": mask}
    assert np.abs(model(swapped) - expected).max() > 0.1


def test_padding_and_neighbours_do_not_matter():
    model, inputs = cases.make("classifier", **PAIR), _inputs(50, 30)
    expected = model(inputs)
    real = np.broadcast_to(np.arange(61) < 30, (3, 61))
    padded = {**inputs, "pair_ids": np.where(real, np.pad(inputs["pair_ids"], [(0, 0), (0, 31)]), 7), "pair_mask": real}
    np.testing.assert_allclose(model(padded), expected, atol=1e-5)
    one = {name: value[1:2] for name, value in inputs.items()}
    np.testing.assert_allclose(model(one), expected[1:2], atol=1e-5)


def test_dropout_follows_the_pair_and_differs_between_its_two_sequences():
    model = cases.make("classifier", dropout=0.3, **PAIR)
    inputs = _inputs(20, 20)
    seed = np.array([1, 2], "int32")
    together = model(inputs, seed=seed, training=True)
    for row in range(3):
        one = {name: value[row : row + 1] for name, value in inputs.items()}
        alone = model(one, seed=np.array([1, 2, row], "int32"), training=True)
        np.testing.assert_allclose(alone, together[row : row + 1], atol=1e-5)
    rows = text_pairs.interleaved({"ids": inputs["ids"], "pair_ids": inputs["ids"]}, cases.LONGEST)["ids"]
    for training, differ in ((False, False), (True, True)):
        vectors = np.asarray(model.encode(rows, None, None, [1, 2, 0] if training else None, training))
        assert (np.abs(vectors[0::2] - vectors[1::2]).max() > 0.1) == differ


@pytest.mark.slow
def test_fit_on_replicas_equals_fit_on_one_device(mirrored_strategy):
    results = []
    for strategy in (tf.distribute.get_strategy(), mirrored_strategy):
        with strategy.scope():
            model = cases.make("classifier", dropout=0.3, pair=True, **SHALLOW, attention_options=None)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
        data = {"ids": cases.ids(4), "pair_ids": cases.ids(4, 30, seed=2), "pair_mask": np.ones((4, 30), "int32")}
        model.fit(data, np.arange(4) % 3, epochs=2, batch_size=4, verbose=0, shuffle=False)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_on_the_backbone_of_a_language_model():
    backbone = ReformerCausalLM(**cases.ARGUMENTS).backbone
    model = ReformerClassifier(backbone=backbone, num_classes=2, pooling="last", pair=True)
    assert model(_inputs(20, 30)).shape == (3, 2)
    assert ReformerClassifier.from_config(model.get_config()).pair


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (cases.ids(), {}, 'must be a dict of "ids" and "pair_ids", and optionally of .* Received: ndarray'),
        ({"ids": cases.ids()}, {}, r"Received: \['ids'\]"),
        ({**_inputs(), "segment_ids": cases.ids()}, {}, r"Received: \['ids', 'pair_ids', 'segment_ids'\]"),
        (_inputs(), {"mask": cases.mask()}, "mask must be None with pair=True; masks are in x. Received: mask="),
        (_inputs(), {"segment_ids": cases.ids()}, "segment_ids must be None with pair=True"),
        ({**_inputs(), "pair_ids": cases.ids(2)}, {}, "pair_ids must have as many rows as ids, 3. Received: 2 rows"),
        ({**_inputs(), "pair_ids": np.ones((3, 9))}, {}, r"pair_ids must be integers \[batch, length\]"),
        ({**_inputs(), "pair_mask": np.ones((3, 9), bool)}, {}, "pair_mask must be a boolean or integer tensor"),
        (
            {**_inputs(), "ids": np.ones((3, 0), "int32")},
            {},
            r"ids must hold 1 to 90 tokens a row. Received: .*\(3, 0\)",
        ),
        ({**_inputs(), "pair_ids": np.ones((3, 91), "int32")}, {}, "pair_ids must hold 1 to 90 tokens a row"),
        (_inputs(), {"seed": np.array([1.5, 2, 3]), "training": True}, "seed must be an integer tensor of shape"),
        ({**_inputs(), "pair_ids": np.full((3, 9), 99)}, {}, r"must be integers in \[0, 20\).*Received: 99"),
    ],
)
def test_what_is_refused(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        cases.make("classifier", **PAIR)(inputs, **options)


def test_pairs_are_refused_without_pair():
    with pytest.raises(ValueError, match='x must be ids, or a dict of "ids", "mask", "segment_ids". Received: '):
        cases.make("classifier", **NO_HASH)(_inputs())
    with pytest.raises(ValueError, match="pair must be True or False. Received: pair=1"):
        cases.make("classifier", pair=1)

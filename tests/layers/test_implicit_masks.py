"""An implicit mask reaches a layer with other arguments, too; Keras drops it if another argument is a tensor."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_inputs_refused import ATTENTION, LAYERS

IDS = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 0]])
CALLS = {
    "alone": {},
    "segments": {"segment_ids": np.ones(IDS.shape, "int32")},
    "seed": {"seed": tf.constant([1, 2])},
    "training": {"seed": tf.constant([1, 2]), "training": True},
}


@pytest.fixture(scope="module")
def embedding():
    return keras.layers.Embedding(9, 16, mask_zero=True)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", [*ATTENTION, "plain stack"])
def test_the_mask_is_the_embeddings(embedding, name, call):
    if name != "full" and call == "training":
        pytest.skip("takes 10 s to compile, and says no more")
    layer, x = LAYERS[name](), embedding(IDS)
    expected = layer(np.asarray(x), mask=IDS > 0, **CALLS[call])
    np.testing.assert_allclose(layer(x, **CALLS[call]), expected, atol=1e-6)
    if call == "seed":
        without = layer(x, mask=np.ones(IDS.shape, bool), **CALLS[call])
        assert not np.allclose(without, expected, atol=1e-3), "an explicit mask comes first"


def test_in_a_functional_model_with_segments(embedding):
    ids, segments = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
    layer = ATTENTION["local"]()
    model = keras.Model([ids, segments], layer(embedding(ids), segment_ids=segments))
    rows = CALLS["segments"]["segment_ids"]
    longer = [np.pad(x, [[0, 0], [0, 7]]) for x in (IDS, rows)]
    np.testing.assert_allclose(model(longer)[1, :5], model([IDS, rows])[1, :5], atol=1e-6)
    expected = layer(np.asarray(embedding(IDS)), mask=IDS > 0, segment_ids=rows)
    np.testing.assert_allclose(model([IDS, rows]), expected, atol=1e-6)

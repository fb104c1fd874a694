"""The arguments of `window="chunk"`: saved in configs and models, or refused by name."""

import keras
import numpy as np
import pytest

from reformer_tf.layers import LocalSelfAttention, LSHSelfAttention
from tests.conformance import cases
from tests.layers.attention import chunk_window_cases as settings


@settings.each(settings.SETTINGS)
def test_config_and_clone(kind, name, tmp_path):
    layer = settings.make_layer(kind, name)
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    x = keras.Input([None, cases.WIDTH])
    model = keras.Model(x, type(layer).from_config(config)(x))
    cases.perturb(model)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    data = cases.inputs(2, 37)
    for other in (clone, restored):
        np.testing.assert_allclose(other(data), model(data), atol=1e-6)


@pytest.mark.parametrize("layer", [LSHSelfAttention, LocalSelfAttention])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": "blocks"}, r"window must be one of .*bucket.*chunk.*Received: window='blocks'"),
        ({"window": "bucket", "chunks_before": 1}, r"chunks_before must .*window=\"chunk\".*Received.*1"),
        ({"window": "bucket", "chunks_after": 0}, r"chunks_after must .*window=\"chunk\".*Received.*0"),
        ({"window": "bucket", "wrap": False}, r"wrap must .*window=\"chunk\".*Received.*False"),
        ({"window": "bucket", "length_multiple": 4}, r"length_multiple must .*window=\"chunk\".*Received.*4"),
        ({"window": "bucket", "exact_length": 4}, r"exact_length must .*window=\"chunk\".*Received.*4"),
        ({"chunks_before": 1}, r"chunks_before must .*window=\"chunk\".*Received.*1"),
        ({"window": "chunk", "chunks_before": -1}, r"chunks_before must .*Received: chunks_before=-1"),
        ({"window": "chunk", "chunks_after": -2}, r"chunks_after must .*Received: chunks_after=-2"),
        ({"window": "chunk", "chunks_after": 1.5}, r"chunks_after must .*Received: chunks_after=1.5"),
        ({"window": "chunk", "chunks_before": True}, r"chunks_before must .*Received: chunks_before=True"),
        ({"window": "chunk", "length_multiple": 6}, r"length_multiple must be a multiple of chunk_length.*=6.*=4"),
        ({"window": "chunk", "length_multiple": 0}, r"length_multiple must .*Received: length_multiple=0"),
        ({"window": "chunk", "exact_length": -1}, r"exact_length must .*Received: exact_length=-1"),
        ({"window": "chunk", "exact_length": "all"}, r"exact_length must .*Received: exact_length='all'"),
        ({"window": "chunk", "wrap": "yes"}, r"wrap must .*Received: wrap='yes'"),
    ],
)
def test_bad_arguments_are_named(layer, changes, message):
    with pytest.raises(ValueError, match=message):
        layer(2, 8, chunk_length=settings.C, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local_round": True}, r"local_round must .*window=\"chunk\".*Received: local_round=True"),
        ({"num_buckets": 5}, r"num_buckets must .*even.*Received: num_buckets=5"),
        ({"num_buckets": [2, 3]}, r"num_buckets must .*even.*Received: num_buckets=\[2, 3\]"),
    ],
)
def test_bad_arguments_of_hashing_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        LSHSelfAttention(2, 8, chunk_length=settings.C, window="chunk", **changes)


def test_the_sliding_window_has_no_chunks_and_a_local_round():
    layer = LSHSelfAttention(2, 8)
    assert (layer.window, layer.local_round) == ("bucket", True)
    assert (LSHSelfAttention(2, 8, window="chunk").local_round) is False


@pytest.mark.parametrize("layer", [LSHSelfAttention, LocalSelfAttention])
def test_arguments_are_attributes_with_the_defaults_of_the_released_code(layer):
    names = ("chunks_before", "chunks_after", "wrap", "length_multiple", "exact_length")
    for passed, expected in ({}, (1, 0, False, 4, 4)), (dict(zip(names, (3, 2, True, 8, 7), strict=True)), None):
        made = layer(2, 8, chunk_length=4, window="chunk", **passed)
        assert tuple(getattr(made, name) for name in names) == (expected or tuple(passed.values()))
        assert {name: made.get_config()[name] for name in names} == {name: passed.get(name) for name in names}

"""The README's model with one layer of this package does what the text there promises."""

import functools

import keras
import numpy as np
import pytest

from reformer_tf import layers
from tests.documentation import blocks

KINDS = ("LSHSelfAttention", "LocalSelfAttention", "FullSelfAttention")


@functools.cache
def _model(kind, options="", dtype="float32"):
    """The README's example, optionally with another kind of layer, further options of it or another policy."""
    (block, *_) = blocks.python("README.md", LSHSelfAttention=kind)
    block = block.replace("key_dim=16", f"key_dim=16{options}")
    names = {}
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        exec(block, names)
    finally:
        keras.config.set_dtype_policy(before)
    return names["model"]


def _rows(lengths, longest, rest=0):
    """Rows of ids from 1 on, with `rest` after the end of each row."""
    ids = np.random.default_rng(len(lengths)).integers(1, 256, (len(lengths), longest)).astype("int32")
    first = np.random.default_rng(0).integers(1, 256, longest)
    ids[0] = first  # The same row, whatever the other rows.
    return np.where(np.arange(longest) < np.asarray(lengths)[:, None], ids, rest)


def test_the_example_has_an_embedding_that_masks():
    (block, *_) = blocks.python("README.md")
    assert "Embedding(256, 64, mask_zero=True)" in block
    assert "LSHSelfAttention(" in block


@pytest.mark.parametrize(
    "kind, dtype, tolerance",
    [
        *((kind, "float32", 1e-5) for kind in KINDS),
        (KINDS[0], "mixed_bfloat16", 2e-2),
        # tests/layers/test_half_precision.py has all kinds in any case.
        *(pytest.param(kind, "mixed_bfloat16", 2e-2, marks=pytest.mark.slow) for kind in KINDS[1:]),
        *(pytest.param(kind, "mixed_float16", 3e-3, marks=pytest.mark.slow) for kind in KINDS),
    ],
)
def test_padding_and_neighbours_change_nothing(kind, dtype, tolerance):
    model = _model(kind, dtype=dtype)
    unpadded = model(_rows([90], 90))
    for lengths, longest in (([90, 3, 60], 90), ([90, 1], 200)):
        found = model(_rows(lengths, longest))
        np.testing.assert_allclose(found[0], unpadded[0], atol=tolerance)
        assert np.all(np.isfinite(found))
    # The mask reaches the pooling too: a mean that includes padding would differ.
    assert not np.allclose(model(_rows([3, 3], 90))[0], unpadded[0], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_layer_gets_the_mask(kind):
    """Extends the example by one more layer of the same kind in the same way."""
    ids = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(256, 64, mask_zero=True)(ids)
    for seed in (1, 2):
        x = keras.layers.Add()([x, getattr(layers, kind)(num_heads=4, key_dim=16, seed=seed)(x)])
    model = keras.Model(ids, x)
    np.testing.assert_allclose(model(_rows([90, 4], 120))[0, :90], model(_rows([90], 90))[0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_explicit_mask_says_the_same(kind):
    layer = _model(kind).layers[2]
    assert type(layer).__name__ == kind
    ids = _rows([90, 20], 120)
    x = _model(kind).layers[1](ids)
    implicit, real = layer(x), ids > 0
    plain = np.asarray(x)  # Without an implicit mask.
    explicit = layer(np.where(real[:, :, None], plain, 7.0), mask=real)
    np.testing.assert_allclose(np.asarray(explicit)[real], np.asarray(implicit)[real], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(kind, tmp_path):
    ids = _rows([90, 20], 120)
    _model(kind).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(ids), _model(kind)(ids), atol=1e-6)
    np.testing.assert_allclose(loaded(ids)[1], loaded(ids[1:, :20])[0], atol=1e-5)


def _case(kind, dtype="float32", jit_compile=False, slow=True):
    return pytest.param(kind, dtype, jit_compile, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(
    "kind, dtype, jit_compile",
    [
        _case("FullSelfAttention", slow=False),
        # LSHSelfAttention takes 20 s to trace and compile; test_swapped_into_a_classifier fits one in any case.
        *(_case(kind) for kind in KINDS[:2]),
        *(_case(kind, "mixed_bfloat16") for kind in KINDS),
        *(_case(kind, jit_compile="auto") for kind in KINDS),
    ],
)
def test_fit(kind, dtype, jit_compile):
    """The class is whether a row begins with a certain id; half of the rows are half padding."""
    model = keras.models.clone_model(_model(kind, dtype=dtype))
    ids = np.tile(_rows([1], 1), (16, 24))
    labels = np.arange(16) // 2 % 2
    ids[:, :12] = np.where(labels, 5, 200)[:, None]
    ids[::2, 12:] = 0
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=jit_compile)
    losses = model.fit(ids, labels, epochs=4, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_causal_is_a_decoders_layer(kind):
    """Later tokens, changed or cut off, move no earlier output."""
    layer = _model(kind, ", causal=True").layers[2]
    assert layer.causal
    x = np.random.default_rng(0).normal(size=(2, 100, 64)).astype("float32")
    changed = np.concatenate([x[:, :60], 5 + x[:, 60:]], axis=1)
    np.testing.assert_allclose(layer(changed)[:, :60], layer(x)[:, :60], atol=1e-5)
    np.testing.assert_allclose(layer(x[:, :60]), layer(x)[:, :60], atol=1e-5)

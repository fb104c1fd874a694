"""`LSHSelfAttention` replaces `keras.layers.MultiHeadAttention` in a plain functional classifier.

The task: two tokens of a sequence are marked; do they carry the same bit? A linear function of pooled tokens cannot
tell, since the answer is not a sum over tokens: one of the marked tokens must look at the other.
"""

import keras
import numpy as np
import pytest

from reformer_tf.layers import LSHSelfAttention

PAD, MARK, IDS = 0, 2, 5  # Ids 1 and 2 are plain bits, 3 and 4 marked ones.


def _examples(count, length, seed):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, [count, length])
    marked = np.argsort(rng.random([count, length]), axis=1)[:, :2]
    rows = np.arange(count)[:, None]
    ids = 1 + bits
    ids[rows, marked] += MARK
    ids = np.pad(ids, [[0, 0], [0, 5]], constant_values=PAD)
    return ids.astype("int32"), (bits[rows, marked].sum(axis=1) != 1).astype("int32")


def _classifier(attention):
    ids = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(IDS, 32, "random_normal", mask_zero=True)(ids) * 20.0
    if attention is not None:
        x = x + attention(x)
    x = keras.layers.LayerNormalization()(x)
    x = x + keras.layers.Dense(32, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(ids, keras.layers.Dense(1, dtype="float32")(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    return model


def _accuracy(model, length=24):
    return model.evaluate(*_examples(512, length, seed=1), verbose=0)[1]


def _fit(model, epochs):
    model.fit(*_examples(2048, 24, seed=0), batch_size=64, epochs=epochs, verbose=0)
    return _accuracy(model)


@pytest.mark.parametrize("policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_learns_what_pooling_cannot(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    # Windows shorter than the sequence: hashing has to bring some of the pairs together.
    model = _classifier(LSHSelfAttention(num_heads=4, key_dim=16, chunk_length=16, num_hashes=2, num_buckets=4, seed=1))
    accuracy = _fit(model, epochs=3)
    assert accuracy > 0.97
    assert _accuracy(model, length=40) > 0.7  # Any other length works, if less well.
    model.save(tmp_path / "classifier.keras")
    assert _accuracy(keras.models.load_model(tmp_path / "classifier.keras")) == accuracy
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    ids = _examples(8, 30, seed=2)[0]
    np.testing.assert_allclose(clone.predict(ids, verbose=0), model.predict(ids, verbose=0), atol=1e-5)


def test_pooling_cannot():
    assert _fit(_classifier(None), epochs=3) < 0.6

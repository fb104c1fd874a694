"""Low-rank adapters of layers: what they compute, what is trained, files, and how Keras' tools find them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention, LocalSelfAttention, LSHSelfAttention
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead

WIDTH, RANK = 12, 3
VECTORS = np.random.default_rng(0).normal(size=(2, 9, WIDTH)).astype("float32")
IDS = np.random.default_rng(0).integers(0, 20, (2, 9)).astype("int32")
LAYERS = {
    "lsh": lambda **options: LSHSelfAttention(2, 4, chunk_length=4, num_hashes=2, seed=1, use_bias=True, **options),
    "full": lambda **options: FullSelfAttention(2, 4, seed=1, **options),
    "feed_forward": lambda **options: ChunkedFeedForward(20, chunk_length=5, **options),
    "gated": lambda **options: ChunkedFeedForward(20, gated=True, use_bias=False, **options),
    "embedding": lambda **options: TokenEmbedding(20, WIDTH, **options),
}
KERNELS = {
    "lsh": ["query_key", "value", "output"],
    "full": ["query", "key", "value", "output"],
    "feed_forward": ["inner_kernel", "outer_kernel"],
    "gated": ["inner_kernel", "gate_kernel", "outer_kernel"],
    "embedding": ["embeddings"],
}
each = pytest.mark.parametrize("case", LAYERS)


def _inputs(case):
    return IDS if case == "embedding" else VECTORS


def _make(case, **options):
    keras.utils.set_random_seed(1)
    layer = LAYERS[case](**options)
    layer.build((None, None) if case == "embedding" else (None, None, WIDTH))
    return layer


def _perturb(layer):
    rng = np.random.default_rng(2)
    for variable in layer.trainable_variables:
        variable.assign(np.asarray(variable) + 0.3 * rng.normal(size=variable.shape))
    return layer


def _adapted(case, **options):
    """A layer with adapters that are not zero."""
    layer = _make(case)
    layer.enable_lora(RANK, **options)
    return _perturb(layer)


@each
def test_the_update_is_alpha_over_rank_times_a_b(case):
    layer, plain = _adapted(case, lora_alpha=5.0), _make(case)
    plain.set_weights([np.asarray(v) for v in layer.weights_without_adapters()])
    assert np.abs(layer(_inputs(case)) - plain(_inputs(case))).max() > 1e-2
    for name, kernel in plain.kernels().items():
        a, b = np.asarray(getattr(layer, f"lora_{name}_a")), np.asarray(getattr(layer, f"lora_{name}_b"))
        kernel.variable.assign(np.asarray(kernel.variable) + 5.0 / RANK * np.tensordot(a, b, 1))
    np.testing.assert_allclose(layer(_inputs(case)), plain(_inputs(case)), atol=1e-5)


@each
def test_adapters_begin_at_zero_and_kernels_are_frozen(case):
    layer, plain = _make(case), _make(case)
    layer.enable_lora(RANK)
    np.testing.assert_array_equal(layer(_inputs(case)), plain(_inputs(case)))
    assert layer.lora_enabled and layer.lora_rank == RANK and layer.lora_alpha == RANK
    trained = [v.name for v in layer.trainable_variables]
    assert trained == [
        *(v.name for v in plain.trainable_variables if "bias" in v.name),
        *(f"lora_{name}_{half}" for name in KERNELS[case] for half in "ab"),
    ]
    for name in KERNELS[case]:
        a, kernel = getattr(layer, f"lora_{name}_a"), layer.kernels()[name].variable
        inputs = np.prod(a.shape[:-1])
        # he_uniform of the kernel as a matrix.
        assert 0.7 * (6 / inputs) ** 0.5 < np.abs(a).max() <= (6 / inputs) ** 0.5
        layer.trainable = False
        layer.trainable = True
        assert not kernel.trainable


@each
def test_gradients_of_adapters_and_none_of_kernels(case):
    layer, x = _adapted(case), tf.constant(_inputs(case))
    kernels = [kernel.variable.value for kernel in layer.kernels().values()]
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(tf.sin(layer(x, training=True)) if case != "embedding" else tf.sin(layer(x)))
    assert all(np.any(g) for g in tape.gradient(loss, layer.trainable_variables))
    assert tape.gradient(loss, kernels) == [None] * len(kernels)


@each
def test_configs_and_files(case, tmp_path):
    layer, fresh = _adapted(case, lora_alpha=5.0, kernels=KERNELS[case][:2]), _make(case)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config() and "lora_rank" not in fresh.get_config()
    inputs = keras.Input((None,), dtype="int32") if case == "embedding" else keras.Input((None, WIDTH))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(_inputs(case)), model(_inputs(case)))
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [v.name for v in loaded.trainable_weights] == [v.name for v in model.trainable_weights]
    # Readers without adapters, with other ones, and with equal ones but a file that has none.
    model.save_weights(tmp_path / "adapted.weights.h5")
    other = _make(case)
    other.enable_lora(RANK + 1, kernels=KERNELS[case][:1], b_initializer="ones")
    for reader in (fresh, other):
        readers = keras.Model(inputs, reader(inputs))
        readers.load_weights(tmp_path / "adapted.weights.h5")
        np.testing.assert_allclose(readers(_inputs(case)), model(_inputs(case)), atol=1e-5)
    keras.Model(inputs, fresh(inputs)).save_weights(tmp_path / "plain.weights.h5")
    model.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(layer(_inputs(case)), fresh(_inputs(case)))


@each
def test_merging_for_good(case):
    layer, plain = _adapted(case, lora_alpha=5.0), _make(case)
    before, names = layer(_inputs(case)), [v.path.split("/")[-1] for v in plain.variables]
    layer.merge_lora()
    np.testing.assert_allclose(layer(_inputs(case)), before, atol=1e-5)
    assert [v.path.split("/")[-1] for v in layer.variables] == names
    assert [v.trainable for v in layer.weights] == [v.trainable for v in plain.weights]
    assert layer.get_config().keys() == plain.get_config().keys()
    layer.enable_lora(RANK)


def test_functions_of_before_count_merged_adapters_once():
    layer = _adapted("feed_forward")
    function = tf.function(layer.__call__, autograph=False)
    before = function(VECTORS)
    layer.merge_lora()
    np.testing.assert_allclose(function(VECTORS), before, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_weights_of_adapters_are_at_least_float32(policy):
    for case in LAYERS:
        layer = _make(case, dtype=policy)
        layer.enable_lora(RANK)
        wide = {v.dtype for v in layer.trainable_variables if v.name.startswith("lora_")}
        assert wide == {"float64" if policy == "float64" else "float32"}
        assert layer(_inputs(case)).dtype == layer.compute_dtype


def test_a_tied_head_uses_the_adapter_of_its_embedding():
    embedding, hidden = _adapted("embedding"), tf.constant(VECTORS)
    for chunk in (None, 2):
        head = TokenHead(20, embedding)
        head.build((None, None, WIDTH))
        head.bias.assign(np.arange(20) / 10)
        with tf.GradientTape() as tape:
            losses = head.token_losses(hidden, IDS)
            total = tf.reduce_sum(losses)
        table = embedding.embeddings + embedding.lora_embeddings_a @ embedding.lora_embeddings_b
        logits = np.asarray(VECTORS @ np.asarray(table).T + np.arange(20) / 10)
        np.testing.assert_allclose(head(hidden), logits, atol=1e-4)
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(IDS, logits)
        np.testing.assert_allclose(losses, expected, atol=1e-4)
        found = tape.gradient(total, [embedding.lora_embeddings_a, embedding.lora_embeddings_b, embedding.embeddings])
        assert np.any(found[0]) and np.any(found[1]) and found[2] is None
        assert chunk is None or losses.shape == (2, 9)


def test_some_kernels_of_a_layer():
    layer = _make("lsh")
    layer.enable_lora(RANK, kernels=["value"])
    names = ["query_key", "query_key_bias", "value_bias", "output", "output_bias", "lora_value_a", "lora_value_b"]
    assert [v.name for v in layer.trainable_variables] == names


@pytest.mark.parametrize("name", ["lora_enabled", "lora_rank", "lora_alpha", "lora_kernels"])
def test_what_adapters_are_is_not_set_later(name):
    with pytest.raises(AttributeError, match=rf"property '{name}' of 'FullSelfAttention' object has no setter"):
        setattr(_make("full"), name, 2)


def test_a_frozen_layer_stays_frozen():
    layer = _make("full", trainable=False)
    layer.enable_lora(RANK)
    assert not any(v.trainable for v in layer.weights)
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights][:2] == ["lora_query_a", "lora_query_b"]


def test_keras_finds_what_has_adapters():
    inputs = keras.Input((None,), dtype="int32")
    x = TokenEmbedding(20, WIDTH)(inputs)
    x = keras.layers.Dense(WIDTH)(LocalSelfAttention(2, 4, chunk_length=4)(x))
    model = keras.Model(inputs, ChunkedFeedForward(20)(x))
    for layer in model._flatten_layers():
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(RANK)
    assert sum(v.name.startswith("lora_") for v in model.trainable_weights) == 2 * (1 + 4 + 1 + 2)
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other(IDS), model(IDS))
    model.compile("adam", "mse", run_eagerly=True)
    before = [v.numpy().copy() for v in model.weights]
    model.fit(IDS, np.zeros((2, 9, WIDTH)), verbose=0)
    for variable, old in zip(model.weights, before, strict=True):
        # At first b is zero, so that a has no gradient.
        assert np.array_equal(variable, old) != variable.trainable or variable.name.endswith("_a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: LAYERS["full"]().enable_lora(2), "must come after the layer is built. Received: full_self_attention"),
        (lambda: _adapted("full").enable_lora(2), "must not be called on a layer with adapters.*Received: .*of rank 3"),
        (lambda: _make("full").enable_lora(0), "rank must be a positive integer. Received: rank=0"),
        (lambda: _make("full").enable_lora(2, lora_alpha=-1), "lora_alpha must be a positive number. Received"),
        (
            lambda: _make("full").enable_lora(2, kernels=["query_key"]),
            r"among \['query', .*Received: kernels=\['query_",
        ),
        (lambda: _make("full").enable_lora(2, kernels=["key", "key"]), "kernels must be different names among"),
        (lambda: _make("full").merge_lora(), "merge_lora must come after enable_lora. Received: .*without adapters"),
        (lambda: FullSelfAttention(2, 4, lora_alpha=1.0), "must be left out without lora_rank. Received: .*1.0"),
        (lambda: FullSelfAttention(2, 4, lora_rank=1.5), "lora_rank must be a positive integer. Received"),
        (
            lambda: _make("lsh", lora_rank=2, lora_kernels=["query"]),
            r"lora_kernels must be .* among \['query_key', .*Received: lora_kernels=\['query'\] for lsh_self_attention",
        ),
        (lambda: FullSelfAttention(2, 4, lora_rank=2, lora_kernels="value"), "lora_kernels must be a list.*='value'"),
        (lambda: _make("full").enable_lora(2, kernels="value"), "kernels must be .*Received: kernels='value'"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()


def test_a_file_with_adapters_of_other_kernels_is_refused():
    layer, store = _adapted("full"), {}
    layer.save_own_variables(store)
    store["lora_query_key_a"] = store.pop("lora_query_a")
    with pytest.raises(
        ValueError, match=r"must hold adapters of kernels of layer .*Received: \['lora_query_b', 'lora_q"
    ):
        layer.load_own_variables(store)
    with pytest.raises(ValueError, match="must hold 4 weights of layer.*Received: 3 weights"):
        layer.load_own_variables({name: value for name, value in store.items() if name != "0"})


@pytest.mark.parametrize("make", [*LAYERS.values(), lambda: TokenHead(20)])
def test_int8_is_refused_and_skipped_by_keras(make):
    layer = make()
    layer(IDS if isinstance(layer, TokenEmbedding) else VECTORS)
    with pytest.raises(NotImplementedError, match="is not quantized, because .*bfloat16.*Received: mode='int8' for"):
        layer.quantize("int8")
    assert layer.quantization_mode is None

"""`window="chunk"`, the form of the authors' released code, against loops over rounds, chunks, queries and keys."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import FullSelfAttention, LocalSelfAttention, LSHSelfAttention
from reformer_tf.ops import grouping, replay
from tests.conformance import cases, comparing
from tests.testing import attention_reference, chunk_window_reference, dense_attention

C = 4
# Below, at and above a chunk and the exact lengths; multiples of nothing; the wrapping of one, two and many chunks.
LENGTHS = (1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 24, 37)
LSH = {
    "plain": {"num_hashes": 2, "num_buckets": 4},
    "one_round": {"num_hashes": 1, "num_buckets": 2},
    "four_rounds": {"num_hashes": 4, "num_buckets": 6, "wrap": True},
    "released": {"num_hashes": 2, "wrap": True},
    "factors": {"num_hashes": 2, "num_buckets": [2, 4], "chunks_after": 1},
    "follows_in_factors": {"num_hashes": 2, "chunk_length": 1, "max_sequence_length": 40, "chunks_before": 3},
    "own_chunk": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 0, "wrap": True},
    "after_only": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 0, "chunks_after": 2},
    "beyond": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 7, "chunks_after": 5},
    "beyond_the_ring": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 7, "chunks_after": 5, "wrap": True},
    "multiple": {"num_hashes": 2, "wrap": True, "length_multiple": 12, "exact_length": 2},
    "exact": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "exact_length": 11},
    "never_exact": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "exact_length": 0},
    "bias": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "use_bias": True, "rotary": True},
}
LOCAL = {
    "plain": {},
    "released": {"wrap": True},
    "shared": {"shared_query_key": True, "wrap": True, "use_bias": True},
    "both_sides": {"chunks_after": 1, "wrap": True},
    "own_chunk": {"chunks_before": 0},
    "beyond": {"chunks_before": 5, "chunks_after": 4},
    "beyond_the_ring": {"chunks_before": 5, "chunks_after": 4, "wrap": True, "exact_length": 0},
    "multiple": {"length_multiple": 12, "exact_length": 2, "wrap": True},
    "exact": {"exact_length": 11, "rotary": True},
}
SETTINGS = [("lsh", name) for name in LSH] + [("local", name) for name in LOCAL]
SOME = [
    ("lsh", "released"),
    ("lsh", "beyond_the_ring"),
    ("lsh", "exact"),
    ("local", "both_sides"),
    ("local", "multiple"),
]
FIXED = [
    ("lsh", "plain"),
    ("lsh", "one_round"),
    ("lsh", "factors"),
    ("lsh", "beyond"),
    ("local", "plain"),
    ("local", "beyond"),
]


def _each(settings):
    return pytest.mark.parametrize(("kind", "name"), settings, ids=["-".join(setting) for setting in settings])


def _layer(kind, name, causal=True, **changes):
    setting = {"lsh": LSH, "local": LOCAL}[kind][name]
    arguments = {"window": "chunk", "chunk_length": C, **setting, **changes}
    # The conformance setting is overridden; what it says of buckets is none of ours.
    arguments = {"num_buckets": None, **arguments} if kind == "lsh" else arguments
    return cases.make_layer(cases.Case(kind, "default", causal), **arguments)


def _expected(layer, x, buckets, mask=None, segment_ids=None):
    """The layer with the attention of the reference that lists every key."""
    weights = [np.asarray(weight) for weight in layer.trainable_variables]
    projections = attention_reference.Projections.of(weights, layer.shared_query_key, layer.use_bias)
    turn = attention_reference.rotate if layer.rotary else np.asarray
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    x = np.where(mask[..., None], x, 0.0)
    q = turn(attention_reference.project(x, projections.query, projections.query_bias))
    v = attention_reference.project(x, projections.value, projections.value_bias)
    if layer.shared_query_key:
        k = attention_reference.shared_keys(q)
    else:
        k = turn(attention_reference.project(x, projections.key, projections.key_bias)) / np.sqrt(layer.key_dim)
    o = chunk_window_reference.attend(q, k, v, buckets, mask, cases.chunk_window(layer), segment_ids)
    return np.einsum("bhld,hdm->blm", o, projections.output) + projections.output_bias


@_each(SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_output_equals_reference(kind, name, causal):
    layer = _layer(kind, name, causal)
    for length in LENGTHS:
        x = cases.inputs(2, length)
        y, buckets = cases.call_and_buckets(layer, x)
        comparing.assert_same(y, _expected(layer, x, buckets))


@_each(SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_output_with_mask_and_segments_equals_reference(kind, name, causal):
    layer = _layer(kind, name, causal)
    for length in (5, 37):
        x, mask = cases.inputs(3, length), cases.masks(3, length)
        mask[2] = False
        x[~mask] = np.nan
        y, buckets = cases.call_and_buckets(layer, x, mask=mask)
        comparing.assert_same(y, _expected(layer, x, buckets, mask))
        empty = np.asarray(layer.trainable_variables[-1]) if layer.use_bias else np.zeros(cases.WIDTH)
        comparing.assert_same(y[~mask], np.broadcast_to(empty, y[~mask].shape))
        segments = np.sort(np.random.default_rng(4).integers(0, 3, mask.shape), axis=1).astype("int32")
        y, buckets = cases.call_and_buckets(layer, x, mask=mask, segment_ids=segments)
        comparing.assert_same(y, _expected(layer, x, buckets, mask, segments))


@_each([setting for setting in SETTINGS if setting[0] == "lsh"])
def test_buckets_are_those_of_the_rule(kind, name):
    """The count that was given, or the one that follows the length; projections are the first of the stored ones."""
    layer = _layer(kind, name)
    (rotations,) = [np.asarray(weight) for weight in layer.weights if weight.name == "rotations"]
    for length in (5, 13, 24, 37):
        x = cases.inputs(2, length)
        buckets = cases.call_and_buckets(layer, x)[1]
        if cases.chunk_window(layer).is_exact(length):
            continue
        factors = comparing.factors(layer, length)
        bias = np.asarray(layer.trainable_variables[1]) if layer.use_bias else 0.0
        q = attention_reference.project(x, np.asarray(layer.trainable_variables[0]), bias)
        q = attention_reference.rotate(q) if layer.rotary else q
        comparing.assert_same_buckets(layer, x, buckets, attention_reference.hash_buckets(q, rotations, factors))
        assert buckets.max() < np.prod(factors)


def test_the_stored_projections_are_enough_for_the_longest_length_and_no_more():
    def columns(**arguments):
        layer = LSHSelfAttention(1, 8, window="chunk", chunk_length=4, **arguments)
        layer.build([None, None, 8])
        return next(weight.shape[-1] for weight in layer.weights if weight.name == "rotations")

    assert columns(num_buckets=[4, 6]) == 5
    assert columns(max_sequence_length=4) == 1
    assert columns(max_sequence_length=19) == 4  # 20 / 4 = 5 chunks, 10 buckets, rounded down to 8.
    # 512 buckets are 16 * 32, but one factor of 2 * int(sqrt(256)) = 32 buckets is enough for some shorter length.
    assert columns(max_sequence_length=1024) == 24


def test_a_longer_sequence_than_the_bucket_rule_knows_is_refused():
    layer = _layer("lsh", "released", max_sequence_length=10)
    assert np.isfinite(layer(cases.inputs(1, 12))).all()  # Two tokens of padding, if they were not real ones.
    with pytest.raises(ValueError, match="at most 12 tokens long(.|\n)*Received: length=13"):
        layer(cases.inputs(1, 13))
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None, cases.WIDTH])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 12 tokens long"):
        call(cases.inputs(1, 13))
    fixed = _layer("lsh", "plain", max_sequence_length=10)
    assert np.isfinite(fixed(cases.inputs(1, 13))).all()


@_each(SETTINGS)
def test_graph_of_unknown_shape_equals_reference(kind, name):
    """One trace for all lengths, short ones that get exact attention too."""
    layer = _layer(kind, name)

    @tf.function(input_signature=[tf.TensorSpec([None, None, cases.WIDTH]), tf.TensorSpec([None, None], tf.bool)])
    def call(x, mask):
        with replay.recording() as kept:
            return layer(x, mask=mask), kept

    for batch, length in ((1, 1), (2, 4), (2, 11), (3, 13), (2, 37)):
        x, mask = cases.inputs(batch, length), cases.masks(batch, length)
        y, kept = call(x, mask)
        buckets = kept[0].numpy() if kept else None
        comparing.assert_same(y.numpy(), _expected(layer, x, buckets, mask))
        others = cases.call_and_buckets(layer, x, mask=mask)[1]
        if others is not None:  # None where a call of known length is exact and does not hash
            comparing.assert_same_buckets(layer, np.where(mask[..., None], x, 0.0), buckets, others, mask)
    assert call.experimental_get_tracing_count() == 1


@_each(SOME)
@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_graph_and_xla_equal_reference(kind, name, mode):
    layer, x, mask = _layer(kind, name), cases.inputs(2, 37), cases.masks(2, 37)
    buckets = cases.call_and_buckets(layer, x, mask=mask)[1]

    @tf.function(jit_compile=mode == "xla")
    def call(x, mask):
        with cases.replaying(buckets):
            return layer(x, mask=mask)

    comparing.assert_same(call(x, mask).numpy(), _expected(layer, x, buckets, mask))


def _gradients_match(kind, layer, length, mode, bound, dtype="float32"):
    """Of inputs and weights, against automatic differentiation of the dense computation that counts meetings."""
    x, mask = cases.inputs(2, length, dtype=dtype), cases.masks(2, length)
    upstream = cases.inputs(2, length, seed=6, dtype=dtype)
    buckets = cases.call_and_buckets(layer, x, mask=mask)[1]

    def gradients():
        inputs = tf.constant(x)
        with tf.GradientTape() as tape, cases.replaying(buckets):
            tape.watch(inputs)
            y = layer(inputs, mask=mask)
        return tape.gradient(y, [inputs, *layer.trainable_variables], output_gradients=tf.constant(upstream))

    actual = gradients() if mode == "eager" else tf.function(gradients, jit_compile=mode == "xla")()
    seen = cases.VISIBLE[kind](layer, buckets, mask, None)
    factors = cases.factors(layer, buckets, mask)
    weights = [tf.constant(np.asarray(weight, np.float64)) for weight in layer.trainable_variables]
    x64 = tf.constant(np.where(mask[..., None], x, 0.0).astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch([x64, *weights])
        y = dense_attention.dense_attention(
            x64, weights, seen, layer.shared_query_key, layer.use_bias, layer.rotary, factors
        )
    expected = tape.gradient(y, [x64, *weights], output_gradients=upstream.astype(np.float64))
    largest = max(np.max(np.abs(one)) for one in expected)
    for name, one, other in zip(["x", *[w.name for w in layer.trainable_variables]], actual, expected, strict=True):
        assert one is not None, name
        assert np.max(np.abs(one.numpy() - other.numpy())) <= bound * largest, name


@_each(SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_equal_dense_autodiff(kind, name, causal):
    layer = _layer(kind, name, causal)
    for length in (11, 37):
        _gradients_match(kind, layer, length, "eager", 1e-5)


@_each(SOME)
def test_gradients_in_float64_are_exact(kind, name):
    _gradients_match(kind, _layer(kind, name, dtype="float64"), 37, "eager", 1e-10, "float64")


@_each(SOME)
@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_gradients_in_graph_and_xla_equal_dense_autodiff(kind, name, mode):
    _gradients_match(kind, _layer(kind, name), 37, mode, 1e-5)


@_each([*SOME, ("lsh", "beyond"), ("local", "beyond")])
@pytest.mark.parametrize("mode", ["eager", "graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_groups_of_blocks_change_nothing(monkeypatch, kind, name, mode):
    """Long sequences are computed some blocks at a time, and windows reach over the ends of such groups."""
    monkeypatch.setattr(grouping, "UNGROUPED_BYTES", 0)
    # The second gives groups the last of which is not full.
    for bytes_a_group in (1, 2400, 2**13) if mode == "eager" else (2**13,):
        monkeypatch.setattr(grouping, "GROUP_BYTES", bytes_a_group)
        _gradients_match(kind, _layer(kind, name, causal=False), 37, mode, 1e-5)


@_each(SETTINGS)
def test_bfloat16(kind, name):
    layer, low = _layer(kind, name), _layer(kind, name, dtype="mixed_bfloat16")
    low.set_weights(layer.get_weights())
    x, mask = cases.inputs(2, 37), cases.masks(2, 37)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    z = comparing.call(low, x, buckets, mask=mask)
    assert z.dtype == tf.bfloat16.as_numpy_dtype
    comparing.assert_same(z.astype(np.float32), y, bound=0.1)


@_each(SOME)
def test_replayed_buckets_decide(kind, name):
    layer, x = _layer(kind, name), cases.inputs(2, 37)
    if kind == "local":
        with replay.recording() as kept:
            layer(x)
        assert not kept
        return
    ours = np.random.default_rng(9).integers(0, 4, [2, cases.HEADS, layer.num_hashes, 37]).astype("int32")
    y = comparing.call(layer, x, ours)
    comparing.assert_same(y, _expected(layer, x, ours))
    assert np.max(np.abs(y - layer(x))) > 0.01


@_each(FIXED)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 4, 5, 12, 37])
def test_trailing_padding_changes_nothing_without_wrap_and_with_a_fixed_bucket_count(kind, name, causal, length):
    layer, x = _layer(kind, name, causal), cases.inputs(2, length)
    y, buckets = cases.call_and_buckets(layer, x)
    for amount, content in ((1, 0.0), (9, np.nan), (30, np.inf)):
        padded = np.pad(x, [[0, 0], [0, amount], [0, 0]], constant_values=content)
        mask = np.arange(length + amount) < length * np.ones([2, 1])
        others = cases.call_and_buckets(layer, padded, mask=mask)[1]
        comparing.assert_same_buckets(layer, x, buckets, others)
        if buckets is not None:
            others = np.concatenate([buckets, others[..., length:]], axis=-1)
        comparing.assert_same(comparing.call(layer, padded, others, mask=mask)[:, :length], y)


@_each(SETTINGS)
def test_neighbours_in_the_batch_change_nothing(kind, name):
    layer, x, mask = _layer(kind, name), cases.inputs(3, 37), cases.masks(3, 37)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for row in range(3):
        alone = None if buckets is None else buckets[[row]]
        comparing.assert_same(comparing.call(layer, x[[row]], alone, mask=mask[[row]]), y[[row]])
    x[1:], mask[1:] = np.nan, False
    comparing.assert_same(comparing.call(layer, x, buckets, mask=mask)[:1], y[:1])


def _exact_twin(layer, **changes):
    """Exact attention with the same weights."""
    twin = FullSelfAttention(
        cases.HEADS,
        cases.DEPTH,
        causal=layer.causal,
        shared_query_key=layer.shared_query_key,
        rotary=layer.rotary,
        **changes,
    )
    twin.build([None, None, cases.WIDTH])
    twin.set_weights([np.asarray(weight) for weight in layer.trainable_variables])
    return twin


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["lsh", "local"])
def test_up_to_the_exact_length_it_is_exact_attention(kind, causal):
    layer = _layer(kind, "exact", causal, wrap=True)
    twin = _exact_twin(layer)
    for length in (1, 2, 10, 11):
        x, mask = cases.inputs(3, length), cases.masks(3, length)
        comparing.assert_same(layer(x, mask=mask).numpy(), twin(x, mask=mask).numpy())
    x = cases.inputs(2, 12)
    assert np.max(np.abs(layer(x) - twin(x))) > 1e-3


@_each(SOME)
def test_dropout_is_decided_by_the_seed_and_off_in_inference(kind, name):
    layer, x = _layer(kind, name, dropout=0.4), cases.inputs(2, 37)
    y, buckets = cases.call_and_buckets(layer, x)
    np.testing.assert_array_equal(y, layer(x, seed=tf.constant([1, 2])))
    seeds = ([1, 2], [1, 2], [1, 3])
    same = [comparing.call(layer, x, buckets, training=True, seed=tf.constant(seed)) for seed in seeds]
    np.testing.assert_array_equal(same[0], same[1])
    assert np.max(np.abs(same[0] - same[2])) > 0.01


@pytest.mark.parametrize("kind", ["lsh", "local"])
def test_a_pair_that_meets_repeatedly_is_dropped_as_one(kind):
    """Two rounds, or a ring of one chunk: each pair meets equally often, and all is as if it met once."""
    layer = _layer(kind, "plain", causal=False, dropout=0.4, chunk_length=11, exact_length=0, wrap=True)
    twin = _exact_twin(layer, dropout=0.4, seed=layer.seed)
    x, kwargs = cases.inputs(3, 11), {"mask": cases.masks(3, 11), "training": True, "seed": tf.constant([1, 2])}
    comparing.assert_same(layer(x, **kwargs).numpy(), twin(x, **kwargs).numpy())


@_each(SETTINGS)
def test_config_and_clone(kind, name, tmp_path):
    layer = _layer(kind, name)
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
        layer(2, 8, chunk_length=C, **changes)


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
        LSHSelfAttention(2, 8, chunk_length=C, window="chunk", **changes)


def test_the_sliding_window_has_no_chunks_and_a_local_round():
    layer = LSHSelfAttention(2, 8)
    assert (layer.window, layer.local_round) == ("bucket", True)
    assert (LSHSelfAttention(2, 8, window="chunk").local_round) is False

"""Defects that other implementations of the Reformer have, as far as no other test here names them.

Padding, causality and exactness in general are in the files beside this one.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import AxialPositionEmbedding, LearnedPositionEmbedding, LSHSelfAttention
from reformer_tf.models import ReformerBackbone, ReformerCausalLM
from tests.conformance import cases, comparing
from tests.testing import attention_reference

MODEL = {
    "vocabulary_size": 20,
    "max_sequence_length": 48,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "key_dim": 8,
    "intermediate_dim": 24,
    "attention_layers": ["local", "lsh"],
    "chunk_length": 8,
    "num_hashes": 2,
    "axial_shape": [6, 8],
}
UNCHANGED = [case for case in cases.ALL if case.ignores_padding]


@cases.each(UNCHANGED)
def test_24_tokens_padded_to_32_give_the_same_output(case):
    layer, x = cases.make_layer(case), cases.inputs(2, 24)
    y, buckets = cases.call_and_buckets(layer, x)
    for content in (0.0, 5.0, np.nan):
        padded = np.pad(x, [[0, 0], [0, 8], [0, 0]], constant_values=content)
        mask = np.arange(32) < 24 * np.ones([2, 1])
        z = comparing.call(
            layer, padded, None if buckets is None else np.pad(buckets, [[0, 0]] * 3 + [[0, 8]]), mask=mask
        )
        comparing.assert_same(z[:, :24], y)


@cases.each(cases.ALL)
def test_masked_tokens_at_positions_0_and_1_are_masked(case):
    """A mask made by multiplying positions with it would leave these two in place."""
    layer, x = cases.make_layer(case), cases.inputs(2, 33)
    mask = np.ones([2, 33], bool)
    mask[:, :2] = False
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    x[:, :2] = 100.0
    comparing.assert_same(comparing.call(layer, x, buckets, mask=mask), y)
    comparing.assert_same(y, cases.expected(case, layer, x, buckets, mask))
    with tf.GradientTape() as tape, cases.replaying(buckets):
        inputs = tf.constant(x)
        tape.watch(inputs)
        y = layer(inputs, mask=mask)
    assert not np.any(tape.gradient(y, inputs)[:, :2])


@cases.each(cases.ALL)
def test_one_layer_works_for_many_lengths_in_any_order(case):
    """The first length that a layer sees fixes neither its bucket count nor any shape."""
    layer = cases.make_layer(case)
    fresh = {length: cases.make_layer(case)(cases.inputs(2, length)).numpy() for length in (8, 64, 3, 130)}
    for length in (8, 64, 3, 130, 8, 64):
        np.testing.assert_array_equal(layer(cases.inputs(2, length)), fresh[length])


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        ({"num_buckets": 16}, {8: 16, 64: 16, 256: 16}),
        ({"max_sequence_length": 64}, {8: 16, 64: 16, 256: 16}),
        ({"max_sequence_length": 256, "window": "chunk", "exact_length": 0}, {8: 2, 64: 16, 256: 64}),
    ],
)
def test_the_bucket_count_is_not_that_of_the_first_length(arguments, counts):
    layer = LSHSelfAttention(1, 8, chunk_length=8, num_hashes=16, seed=1, **arguments)
    for length, count in [*counts.items(), *counts.items()]:
        _, buckets = cases.call_and_buckets(layer, cases.inputs(1, length))
        assert buckets.max() < count
        if length >= 64:
            assert buckets.max() >= count // 2


@pytest.mark.parametrize("window", ["bucket", "chunk"])
def test_the_first_chunk_of_a_round_does_not_look_into_the_round_before(window):
    """The released code rolls over all rounds flattened together; only `wrap=True` asks for that."""
    # In both rounds tokens 0 to 3 come first and 12 to 15 last.
    buckets = np.broadcast_to(np.repeat(np.arange(4), 4), [1, cases.HEADS, 2, 16]).astype("int32")

    def reached(queries, **changes):
        arguments = {"window": window, "chunk_length": 4, "num_hashes": 2, "num_buckets": 4, "local_round": False}
        layer = cases.make_layer(cases.Case("lsh", "default", False), **arguments, **changes)
        x = tf.constant(cases.inputs(1, 16))
        with tf.GradientTape() as tape, cases.replaying(buckets):
            tape.watch(x)
            y = layer(x)[:, queries]
        return set(np.flatnonzero(np.abs(tape.gradient(y, x)[0]).max(-1)))

    assert reached(slice(0, 4)) == set(range(4))
    assert reached(slice(12, 16)) == set(range(12 if window == "bucket" else 8, 16))
    if window == "chunk":
        assert reached(slice(0, 4), wrap=True) == set(range(4)) | set(range(12, 16))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_pairs_that_meet_in_several_rounds_count_once(causal, dropout):
    """The same round twice or four times gives what it gives once."""
    outputs = []
    for rounds in (1, 2, 4):
        layer = cases.make_layer(
            cases.Case("lsh", "default", causal), num_hashes=rounds, local_round=False, dropout=dropout
        )
        buckets = np.random.default_rng(0).integers(0, 4, [2, cases.HEADS, 1, 70]).astype("int32")
        kwargs = {"training": True, "seed": tf.constant([1, 2])} if dropout else {}
        outputs.append(comparing.call(layer, cases.inputs(2, 70), np.repeat(buckets, rounds, axis=2), **kwargs))
    for other in outputs[1:]:
        comparing.assert_same(other, outputs[0])


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 40])
def test_every_weight_has_a_gradient_at_every_length(case, length):
    """Also below every threshold, with dropout; queries and keys matter as soon as a token sees two others."""
    layer, x = cases.make_layer(case, dropout=0.1), tf.constant(cases.inputs(3, length))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True, seed=tf.constant([1, 2]))
        loss = tf.reduce_sum(y * cases.inputs(3, length, seed=8))
    gradients = tape.gradient(loss, [x, *layer.trainable_variables])
    for variable, gradient in zip([None, *layer.trainable_variables], gradients, strict=True):
        assert gradient is not None
        assert np.isfinite(gradient).all()
        matters = variable is None or variable.name in ("value", "output") or length >= 3
        assert np.any(gradient) or not matters, variable.path


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("length", [2, 7, 40])
def test_a_model_with_dropout_learns_at_every_length(reversible, length):
    model = ReformerCausalLM(**MODEL, dropout=0.2, attention_dropout=0.1, reversible=reversible)
    ids = np.random.default_rng(0).integers(0, 20, [4, length]).astype("int32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.token_losses(ids, training=True, seed=tf.constant([1, 2])))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all(), variable.path
        # With two ids, the only input token sees only itself: queries and keys have no influence.
        if length > 3:
            assert np.any(gradient), variable.path


@pytest.mark.parametrize("causal", [False, True])
def test_lengths_need_not_be_multiples_or_the_axial_product(causal):
    """In training too, with and without padding; 48 is the product of the axes, 8 the chunk."""
    model = ReformerBackbone(**MODEL, causal=causal, dropout=0.1)
    for length in (1, 5, 8, 9, 31, 47, 48):
        ids = np.random.default_rng(0).integers(0, 20, [2, length]).astype("int32")
        mask = np.arange(length) < np.array([[length], [length // 2 + 1]])
        for kwargs in ({}, {"training": True, "seed": tf.constant([1, 2])}):
            y = model(ids, mask=mask, **kwargs).numpy()
            assert y.shape == (2, length, 16)
            assert np.isfinite(y).all()


@pytest.mark.parametrize(
    "layer", [AxialPositionEmbedding((4, 6), (5, 7)), LearnedPositionEmbedding(24)], ids=["axial", "learned"]
)
def test_a_position_is_the_same_in_every_length(layer):
    longest = layer(np.zeros([1, 24, 12], "float32")).numpy()
    assert len(np.unique(longest[0], axis=0)) == 24
    for length in (1, 5, 6, 7, 23):
        np.testing.assert_array_equal(layer(np.zeros([1, length, 12], "float32")), longest[:, :length])
        np.testing.assert_array_equal(layer(np.zeros([1, length, 12], "float32"), training=True), longest[:, :length])


def test_evaluation_has_no_dropout_and_draws_nothing():
    """Two passes are bitwise equal, whatever was drawn between them; so are two models made from the same seed."""
    options = {"dropout": 0.5, "attention_dropout": 0.5, "seed": 3}
    model, ids = ReformerCausalLM(**MODEL, **options), np.arange(40, dtype="int32")[None] % 20
    first = model(ids).numpy()
    model(ids, training=True)
    np.random.default_rng().normal()
    tf.random.normal([3])
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(model(ids), first)
    again = ReformerCausalLM(**MODEL, **options)
    for old, new in zip(model.non_trainable_variables, again.non_trainable_variables, strict=True):
        if old.name == "rotations":
            np.testing.assert_array_equal(old, new)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(ids), first)


@pytest.mark.parametrize("window", ["bucket", "chunk"])
def test_rounds_times_buckets_times_length_may_pass_int32(window):
    """A sort key of (round, bucket, position) would need 33 bits here: 8 rounds, 2**18 buckets, 2,100 tokens."""
    rounds, count, length = 8, 2**18, 2100
    assert rounds * count * length > 2**32
    case = cases.Case("lsh", "default", True)
    options = {"num_heads": 1, "chunk_length": 32, "num_hashes": rounds, "num_buckets": [512, 512]}
    layer = cases.make_layer(case, window=window, local_round=False, **options)
    x = cases.inputs(1, length)
    # The ends of the range, and numbers between them.
    ours = np.random.default_rng(0).choice([0, 1, 2**17, count - 2, count - 1], [1, 1, rounds, length]).astype("int32")
    comparing.assert_same(comparing.call(layer, x, ours), cases.expected(case, layer, x, ours))
    _, own = cases.call_and_buckets(layer, x)
    rotations = next(np.asarray(weight) for weight in layer.weights if weight.name == "rotations")
    q = attention_reference.project(x, np.asarray(layer.trainable_variables[0]))
    comparing.assert_same_buckets(layer, x, own, attention_reference.hash_buckets(q, rotations, (512, 512)))
    assert own.max() > 2**17


def test_more_buckets_than_fit_are_refused_when_the_layer_is_made():
    for window in ("bucket", "chunk"):
        with pytest.raises(ValueError, match=r"num_buckets \* chunk_length \+ length must stay below 2\*\*29"):
            LSHSelfAttention(1, 8, chunk_length=64, num_buckets=[4096, 4096], window=window)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_has_no_nan_where_nothing_is_seen(policy, causal):
    """Rows all masked, single tokens in a bucket or segment, large inputs: penalties and masks fit 16 bits."""
    for case in cases.DEFAULTS:
        if case.causal != causal:
            continue
        layer = cases.make_layer(case, dtype=policy)
        x, mask = 50.0 * cases.inputs(3, 33), cases.masks(3, 33)
        mask[1] = False
        segments = np.arange(33)[None] // np.array([[1], [5], [33]])
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            y = tf.cast(layer(inputs, mask=mask, segment_ids=segments), "float32")
        assert np.isfinite(y).all(), case.name
        for gradient in tape.gradient(y, [inputs, *layer.trainable_variables]):
            assert np.isfinite(tf.cast(gradient, "float32")).all(), case.name


def test_float16_with_loss_scaling_trains_a_model():
    model = ReformerCausalLM(**MODEL, dropout=0.1, dtype="mixed_float16", seed=1)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=2.0**10)
    model.compile(optimizer)
    ids = np.tile(np.arange(40, dtype="int32") % 10, [16, 1])
    history = model.fit(ids, batch_size=4, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.5 * history[0]

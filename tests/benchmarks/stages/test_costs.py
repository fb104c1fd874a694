"""Operations and bytes of stages against counts by hand and against compiled programs."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.stages import costs
from benchmarks.stages.quantities import Cost, Sizes
from benchmarks.xla import compiled_program
from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.ops import hashing
from reformer_tf.ops.attention import block

SIZES = Sizes(
    batch=2,
    length=64,
    width=12,
    heads=2,
    key_dim=8,
    hash_rounds=2,
    local_rounds=1,
    chunk_length=16,
    intermediate_dim=40,
    vocabulary_size=30,
    projections=4,
    itemsize=4,
)


def _matmul_flops(function, *arguments):
    compiled = tf.function(function, jit_compile=True, autograph=False)
    return compiled_program.read(compiled, *arguments)["matmul_flops"]


def _values(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)


def test_a_feed_forward_layer():
    layer = ChunkedFeedForward(40)
    x = _values(2, 64, 12)
    layer(x)
    stage = costs.feed_forward(SIZES)
    products = _matmul_flops(layer, x)
    assert products == 2 * 128 * 12 * 40 * 2
    # The rest are biases and gelus.
    assert stage.forward.flops - products == 128 * (40 + 12) + stage.forward.gelus
    assert stage.forward.bytes == 4 * (2 * 128 * 12 + 2 * 12 * 40)

    def both(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)], output_gradients=upstream)

    assert _matmul_flops(both, x, x) == 3 * products
    assert stage.backward.flops - 3 * products == 2 * 128 * (40 + 12) + 3 * 128 * 40
    assert stage.backward.gelus == 2 * stage.forward.gelus


def test_projections():
    layer = FullSelfAttention(2, 8, shared_query_key=True)
    x = _values(2, 64, 12)
    layer.build(x.shape)

    def project(x):
        query, value = layer.project(x, Heads(0, 2), None)
        return layer.merge(query + value, Heads(0, 2))

    inner, outer = costs.projections(SIZES), costs.output_projection(SIZES)
    products = _matmul_flops(project, x)
    assert products == 3 * 2 * 128 * 12 * 16
    assert inner.forward.flops + outer.forward.flops == products
    assert inner.backward.flops + outer.backward.flops == 3 * products


def test_blocks():
    stage = costs.blocks(SIZES)
    # Three rounds of 2 * 2 sequences in 4 blocks of 16 queries and 32 keys.
    logits = 3 * 4 * 4 * 16 * 32
    assert SIZES.logits == logits == stage.forward.exponentials
    query, key = _values(4, 4, 16, 8), _values(4, 4, 32, 8)
    pairs = block.Pairs(tf.ones([1, 1, 16, 32], tf.bool))
    products = 3 * _matmul_flops(lambda q, k: block.attend(q, [block.Part(k, 2 * k, pairs)]), query, key)
    # The rest are logits, and keys made of queries.
    keys = 3 * 128 * 16
    assert stage.forward.flops == products + 8 * logits + 3 * keys
    numbers = tf.zeros([4, 4, 16])
    back = 3 * _matmul_flops(
        lambda q, k: block.attend_gradient(q, [block.Part(k, 2 * k, pairs)], numbers, numbers, 3 * q), query, key
    )
    assert stage.backward.flops == products + back + 16 * logits + (2 * 3 + 6) * keys
    assert back == 5 * products // 2


def test_hashing():
    stage = costs.hashing(SIZES)
    rotations = tf.constant(hashing.stored_rotations(0, 2, 8, 2, 4))
    products = _matmul_flops(lambda x: hashing.hash_vectors(x, rotations, (8,)), _values(2, 2, 64, 8))
    assert stage.forward.flops == products + 4 * 2 * 2 * 128 * 4
    assert stage.backward == Cost(0, 0)


def test_the_head():
    stage = costs.head(SIZES)
    assert stage.forward.flops == 2 * 128 * 12 * 30 + 5 * 128 * 30
    assert stage.forward.bytes == 4 * (128 * 12 + 12 * 30) + 128 * (4 + 4)


def test_parts_of_the_attention_add_up():
    total = costs.attention(SIZES)
    parts = [stage for stage in costs.stages(SIZES) if stage.part_of == "attention"]
    assert [stage.name for stage in parts] == ["laying out", "blocks", "merging"]
    for mine, others in ((total.forward, [p.forward for p in parts]), (total.backward, [p.backward for p in parts])):
        assert mine.flops == sum(part.flops for part in others)
        # Values that one part writes and the next reads need not go through memory.
        assert 0 < mine.bytes < sum(part.bytes for part in others)


def test_one_round_is_not_merged():
    one = SIZES._replace(hash_rounds=1, local_rounds=0)
    assert costs.merging(one).forward.flops == 0
    assert costs.sorting(one).forward.flops == 2 * 128 * 6


@pytest.mark.parametrize("stage", costs.stages(SIZES), ids=lambda stage: stage.name)
def test_half_the_itemsize_moves_less_and_computes_the_same(stage):
    half = next(s for s in costs.stages(SIZES._replace(itemsize=2)) if s.name == stage.name)
    assert half.forward.flops == stage.forward.flops and half.backward.flops == stage.backward.flops
    if stage.name != "sorting":
        assert 0.5 * stage.forward.bytes <= half.forward.bytes < stage.forward.bytes

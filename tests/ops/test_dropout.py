"""Dropout as a function of coordinates."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import dropout, seeds

SEED = [5, 6, 0]


def _mask(batch=4, length=50, width=64, rate=0.3, seed=SEED, layer=1):
    return dropout.dropout(tf.ones([batch, length, width]), rate, tf.constant(seed), layer).numpy()


def test_the_rate_and_the_scale():
    mask = _mask()
    assert np.unique(mask) == pytest.approx([0, 1 / 0.7])
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.02)
    # Neighbours in any direction are independent.
    dropped = mask == 0
    for pair in (dropped[1:], dropped[:-1]), (dropped[:, 1:], dropped[:, :-1]), (dropped[..., 1:], dropped[..., :-1]):
        assert abs(np.corrcoef(*(x.ravel() for x in pair))[0, 1]) < 0.03


def test_padding_and_the_batch_layout_do_not_matter():
    whole = _mask()
    np.testing.assert_array_equal(_mask(length=31), whole[:, :31])
    np.testing.assert_array_equal(_mask(batch=2, seed=[5, 6, 2]), whole[2:])


def test_seed_step_and_layer_matter():
    for other in (_mask(seed=[4, 6, 0]), _mask(seed=[5, 7, 0]), _mask(layer=2)):
        assert abs(np.corrcoef(other.ravel(), _mask().ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_same_bits_in_graph_and_xla(jit_compile):
    bits = tf.function(lambda seed: seeds.row_keys(seed, 3, 5), jit_compile=jit_compile)(tf.constant(SEED))
    np.testing.assert_array_equal(bits, seeds.row_keys(tf.constant(SEED), 3, 5))


@pytest.mark.parametrize("seed", [3, [1], [1, 2, 3, 4], [1.0, 2.0], [[1, 2]]])
def test_seeds_of_other_shapes_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be an integer tensor of shape \[2\].*Received: seed="):
        seeds.with_row_offset(seed, 1)


def test_replicas_take_their_rows_of_the_global_batch(mirrored_strategy):
    offsets = mirrored_strategy.run(lambda: seeds.with_row_offset(tf.constant([1, 2]), 8))
    assert [x.numpy().tolist() for x in mirrored_strategy.experimental_local_results(offsets)] == [[1, 2, 0], [1, 2, 8]]

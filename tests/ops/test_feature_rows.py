"""The random rows of attention by features: uniformly distributed directions, lengths, and what draws depend on."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import feature_rows, seeds

DRAWS = 10_000
SIZE = 4


def _drawn(count, size, scaled=False, seed=(3, 4), layer_seed=5):
    return feature_rows.drawn_rows(tf.constant(seed), layer_seed, count, size, scaled).numpy()


def _stored(count, size, scaled=False):
    return feature_rows.stored_rows(5, count, size, scaled)


each_way = pytest.mark.parametrize("draw", [_stored, _drawn], ids=["stored", "drawn"])


@each_way
def test_rows_of_a_block_are_orthogonal_and_blocks_differ(draw):
    rows = draw(20, 8)
    assert rows.shape == (20, 8)
    for start in (0, 8, 16):
        block = rows[start : start + 8]
        products = block @ block.T
        np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-4)
    assert np.abs(rows[:8] @ rows[8:16].T).max() > 1


@each_way
def test_each_entry_has_the_signs_and_the_moments_of_a_normal_number(draw):
    # Raw Q of a QR decomposition has a negative first entry in each draw.
    rows = draw(DRAWS * SIZE, SIZE).reshape([DRAWS, SIZE, SIZE])
    error = DRAWS**-0.5
    np.testing.assert_allclose(np.mean(rows < 0, axis=0), 0.5, atol=4 * 0.5 * error)
    np.testing.assert_allclose(np.mean(rows, axis=0), 0, atol=4 * error)
    np.testing.assert_allclose(np.var(rows, axis=0), 1, atol=6 * error)
    # Lengths and directions are independent, and so are rows of different blocks.
    lengths = np.linalg.norm(rows, axis=-1)
    np.testing.assert_allclose(np.mean(lengths**2, axis=0), SIZE, rtol=0.05)
    assert abs(np.corrcoef(lengths[:, 0], lengths[:, 1])[0, 1]) < 4 * error
    assert abs(np.corrcoef(rows[:-1, 0, 0], rows[1:, 0, 0])[0, 1]) < 4 * error


@each_way
def test_scaled_rows_have_one_length(draw):
    np.testing.assert_allclose(np.linalg.norm(draw(20, 8, scaled=True), axis=-1), 8**0.5, rtol=1e-5)


def test_stored_rows_are_the_same_everywhere():
    np.testing.assert_array_equal(_stored(6, 4), _stored(6, 4))
    assert np.abs(_stored(6, 4) - feature_rows.stored_rows(6, 6, 4, False)).max() > 0.1


def test_drawn_rows_follow_from_base_step_and_layer_alone():
    rows = _drawn(6, 4)
    np.testing.assert_array_equal(rows, _drawn(6, 4))
    np.testing.assert_array_equal(rows, _drawn(6, 4, seed=(3, 4, 77)))
    for other in ({"seed": (2, 4)}, {"seed": (3, 5)}, {"layer_seed": 6}):
        assert np.abs(rows - _drawn(6, 4, **other)).max() > 0.1


def test_drawn_rows_are_the_same_in_xla():
    draw = tf.function(lambda seed: feature_rows.drawn_rows(seed, 5, 6, 4, False), jit_compile=True)
    np.testing.assert_allclose(draw(tf.constant([3, 4])), _drawn(6, 4), atol=1e-5)


def test_rows_stay_for_some_steps():
    drawn = [feature_rows.redraw_seed(tf.constant([3, step, 9]), 4).numpy().tolist() for step in (0, 3, 4, 11)]
    assert drawn == [[3, 0], [3, 0], [3, 1], [3, 2]]
    with seeds.counting_updates(8):
        seed = seeds.with_row_offset(tf.constant([3, 0]), 2)
    assert feature_rows.redraw_seed(seed, 4).numpy().tolist() == [3, 2]

"""The permutations of the examples."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import shuffle


def _epochs(count, epochs, seed):
    examples = tf.range(count * epochs, dtype=tf.int64)
    return shuffle.shuffled_indices(examples, count, seed).numpy().reshape(epochs, count)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 257, 1000])
def test_each_epoch_is_a_permutation(count):
    permutations = _epochs(count, 20, seed=0)
    np.testing.assert_array_equal(np.sort(permutations, axis=1), np.tile(np.arange(count), (20, 1)))


def test_no_epoch_repeats_an_earlier_one():
    permutations = _epochs(50, 600, seed=3)
    assert len({permutation.tobytes() for permutation in permutations}) == 600


def test_all_bits_of_the_seed_count():
    seeds = [0, 1, 256, 2**31, 2**32, 2**40, 2**63, -1]
    assert len({_epochs(50, 1, seed).tobytes() for seed in seeds}) == len(seeds)


def test_permutations_look_random():
    count, epochs = 3000, 30
    permutations = _epochs(count, epochs, seed=1).astype(np.float64)
    deviation = 1.0 / np.sqrt(count)  # of the correlation of two random permutations
    before = np.corrcoef(np.vstack([np.arange(count), permutations]))
    pairs = before[np.triu_indices(epochs + 1, 1)]
    assert abs(pairs.mean()) < 0.2 * deviation
    assert pairs.std() == pytest.approx(deviation, rel=0.15)
    neighbours = (np.abs(np.diff(permutations, axis=1)) == 1).sum(axis=1)  # 2 are expected
    assert 1.0 < neighbours.mean() < 3.0


def test_mix_is_splitmix64():
    # The first values of the published generator for seed 0: mix(0), mix(increment).
    increment = 0x9E3779B97F4A7C15
    found = shuffle._mix(tf.constant([0, increment], tf.uint64)).numpy()
    assert found.tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_indices_are_the_same_in_a_graph():
    examples = tf.range(1000, dtype=tf.int64)
    eager = shuffle.shuffled_indices(examples, 17, 5)
    graph = tf.function(lambda values: shuffle.shuffled_indices(values, 17, 5))(examples)
    np.testing.assert_array_equal(eager, graph)

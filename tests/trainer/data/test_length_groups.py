"""Batches of similar length: permutations of each epoch, the same from any step, in any number of processes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import datasets, length_groups
from trainer.data.examples import Examples
from trainer.data.length_groups import grouped_indices
from trainer.data.sharding import Shard

SIZES = np.random.default_rng(0).integers(1, 100, 3000)


def _steps(sizes, batch_size, count, seed=0, start=0):
    sizes = tf.constant(sizes, tf.int64)
    choose = tf.function(lambda step: grouped_indices(step, batch_size, sizes, seed))
    return np.array([choose(tf.constant(step, tf.int64)) for step in range(start, start + count)])


@pytest.mark.parametrize("number", [1, 16, 61])
@pytest.mark.parametrize("batch_size", [1, 13])
def test_every_example_comes_once_an_epoch(monkeypatch, number, batch_size):
    monkeypatch.setattr(length_groups, "BATCHES", 4)
    epochs = 3
    rows = _steps(SIZES[:number], batch_size, -(-epochs * number // batch_size)).reshape(-1)
    for epoch in range(epochs):
        assert sorted(rows[epoch * number : (epoch + 1) * number]) == [*range(number)]


def test_rows_of_a_batch_are_of_similar_length():
    rows = _steps(SIZES, 16, 150)
    spreads = np.ptp(SIZES[rows], axis=1)
    plain = np.ptp(SIZES[: 150 * 16].reshape(150, 16), axis=1)
    assert np.mean(spreads) < 0.1 * np.mean(plain)
    means = SIZES[rows].mean(axis=1)
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3  # Batches are not in the sequence of their lengths.


def test_seeds_and_epochs_differ():
    first, again, other = (_steps(SIZES[:320], 10, 64, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:32], first[32:])
    # Not even the same batches in another sequence.
    batches = [{frozenset(batch) for batch in part.tolist()} for part in (first[:32], first[32:])]
    assert len(batches[0] & batches[1]) < 4


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(1)
    return Examples([bytes([number] * rng.integers(1, 30)) for number in range(200)], 30, "padded", 0, (8, 16))


def _rows(dataset, count):
    return [[part.numpy() for part in batch] for batch in itertools.islice(dataset, count)]


@pytest.fixture(scope="module")
def whole(examples):
    return _rows(datasets.train_dataset(examples, 6, seed=2, group_by_length=True), 72)


def test_a_run_goes_on_at_any_step(examples, whole):
    for start in (33, 64):
        rest = _rows(datasets.train_dataset(examples, 6, 2, start, group_by_length=True), 72 - start)
        for batch, expected in zip(rest, whole[start:], strict=True):
            assert all(np.array_equal(*parts) for parts in zip(batch, expected, strict=True))
    assert sorted(np.concatenate([ids[:, 1] for ids, _ in whole])[:200]) == [*range(200)]


def test_processes_read_parts_of_the_same_batches(examples, whole):
    parts = [_rows(datasets.train_dataset(examples, 6, 2, 30, Shard(first, 1, 2), True), 4) for first in range(2)]
    for batch, *rows in zip(whole[30:34], *parts, strict=True):
        assert np.array_equal(batch[0], np.concatenate([ids for ids, _ in rows]))


def test_less_is_padding(examples):
    def filled(grouped):
        batches = _rows(datasets.train_dataset(examples, 8, seed=0, group_by_length=grouped), 25)
        return np.sum([mask.sum() for _, mask in batches]) / np.sum([mask.size for _, mask in batches])

    assert filled(True) > 0.72 > 0.65 > filled(False)

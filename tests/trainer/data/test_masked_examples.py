"""Examples of a masked language model: every id is in one, and batches are a function of seed and row alone."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.testing import masking_reference
from tests.trainer.data.test_examples import DOCUMENTS, LENGTHS
from trainer.data import datasets as data
from trainer.data.documents import BOUNDARY
from trainer.data.examples import LAYOUTS
from trainer.data.masked_examples import IGNORED, MaskedExamples, restored
from trainer.data.masking import Masking
from trainer.data.sharding import Shard
from trainer.training.tokens_seen import count_tokens

MASKING = Masking(258, boundary=BOUNDARY)


def _make(length_buckets=(), documents=(bytes(range(1, 60)), bytes(range(40, 93)), b"abc"), length=12):
    return MaskedExamples(MASKING, documents, length, "padded", length_buckets=length_buckets)


@pytest.fixture(scope="module")
def examples():
    return _make()


def _rows(dataset, batches):
    """The tensors of some batches, with all rows in one."""
    taken = list(itertools.islice(dataset, batches))
    return [np.concatenate([part.numpy() for part in parts]) for parts in zip(*taken, strict=True)]


def _assert_equal(found, expected):
    assert len(found) == len(expected) == 3
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, other)


@given(DOCUMENTS, LENGTHS, st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=50)
def test_each_id_is_in_one_example(documents, length, layout):
    examples = MaskedExamples(MASKING, documents, length, layout)
    kept = [document for document in documents if document or layout == "packed"]
    expected = [id_ for document in kept for id_ in (BOUNDARY, *document)]
    assert [id_ for ids, mask in examples for id_ in ids[mask].tolist()] == expected
    assert examples.tokens == len(expected)
    assert {ids.shape for ids, _ in examples} == {(length,)}
    ids, mask, targets = examples.gather(tf.range(len(examples), dtype=tf.int64))
    assert restored(ids, targets).numpy()[mask].tolist() == expected
    full = sum(bool(mask.all()) for _, mask in examples)
    if full:
        assert MaskedExamples(MASKING, documents, length, layout, full).tokens == full * length


def test_batches_of_a_training_step(examples):
    ids, mask, targets = _rows(data.train_dataset(examples, 4, seed=5, start_step=3), 2)
    draws = [masking_reference.random_bits(row, seed=5) for row in range(12, 20)]
    text = restored(ids, targets).numpy()
    seen, chosen = masking_reference.hide(text.tolist(), mask.tolist(), draws, 258, boundary=BOUNDARY)
    assert ids.tolist() == seen
    np.testing.assert_array_equal(targets, np.where(chosen, text, IGNORED))


def test_masks_do_not_depend_on_batch_size_start_or_shard(examples):
    expected = _rows(data.train_dataset(examples, 6, seed=1), 6)
    assert (expected[2] != IGNORED).any() and (expected[0] == 257).any()
    _assert_equal(_rows(data.train_dataset(examples, 2, seed=1), 18), expected)
    _assert_equal(_rows(data.train_dataset(examples, 6, seed=1, start_step=2), 4), [part[12:] for part in expected])
    shards = [data.train_dataset(examples, 6, 1, 0, Shard(first, 1, 3)) for first in range(3)]
    interleaved = (batch for batches in zip(*shards, strict=False) for batch in batches)
    _assert_equal(_rows(interleaved, 18), expected)


def test_an_example_has_other_masks_in_the_next_epoch(examples):
    count = len(examples)
    ids, _, targets = _rows(data.train_dataset(examples, count, seed=1), 2)
    text = restored(ids, targets).numpy()
    rows = [np.lexsort(part.T) for part in (text[:count], text[count:])]
    np.testing.assert_array_equal(text[:count][rows[0]], text[count:][rows[1]])
    chosen = targets != IGNORED
    assert (chosen[:count][rows[0]] != chosen[count:][rows[1]]).mean() > 0.1


def test_evaluations_are_always_the_same(examples):
    expected = examples.gather(tf.range(len(examples), dtype=tf.int64))
    for batch_size in (1, 4, 16):
        found = _rows(data.validation_dataset(examples, batch_size), 100)
        _assert_equal([part[: len(examples)] for part in found], expected)
        assert not found[1][len(examples) :].any()
        assert (found[2][len(examples) :] == IGNORED).all()
    some = examples.spread(4)
    indices = np.arange(4) * len(examples) // 4
    _assert_equal(_rows(data.validation_dataset(some, 2), 2), [part.numpy()[indices] for part in expected])


def test_length_buckets_change_nothing_else():
    for batch, full in itertools.islice(
        zip(*(data.train_dataset(_make(buckets), 2, seed=1) for buckets in ((4,), ())), strict=True), 12
    ):
        length = batch[0].shape[1]
        assert length in (4, 12)
        _assert_equal(batch, [part[:, :length] for part in full])


def test_tokens_that_a_run_has_seen(examples):
    for steps in (1, 3, 9):
        _, mask, _ = _rows(data.train_dataset(examples, 3, seed=2), steps)
        assert count_tokens(examples, 3 * steps, seed=2) == mask.sum()

"""Documents of ids: where they are, what they are, and the examples and batches that are cut from them."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import datasets
from trainer.data.examples import LAYOUTS, Examples
from trainer.data.id_documents import IdDocuments
from trainer.data.id_entropy import id_entropy
from trainer.data.sharding import Shard
from trainer.data.stored_ids import StoredArray, StoredIds

ARRAYS = [np.arange(1, 8, dtype=np.uint8), np.arange(20, 23, dtype=">i8"), np.array([5], np.int16)]


def test_reading_across_arrays():
    stored = StoredIds([StoredArray(array, name) for array, name in zip(ARRAYS, "abc", strict=True)])
    everything = np.concatenate(ARRAYS).tolist()
    for start in range(len(stored) + 1):
        for stop in range(start, len(stored) + 1):
            found = stored.read(start, stop)
            assert found.dtype == np.int32
            assert found.tolist() == everything[start:stop]
            assert len(StoredIds(stored.cut(start, stop))) == stop - start
    assert [stored.locate(position) for position in (0, 6, 7, 10)] == [("a", 0), ("a", 6), ("b", 0), ("c", 0)]
    assert StoredIds(stored.cut(3, 9)).locate(3) == ("a", 6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 3, 20])
def test_batches_are_the_examples(layout, length):
    examples = Examples(IdDocuments.from_arrays(ARRAYS), length, layout)
    ids, mask = examples.gather(tf.range(-1, len(examples), dtype=tf.int64))
    assert ids.dtype == tf.int32
    assert not ids[0].numpy().any()
    assert not mask[0].numpy().any()
    for row, (expected, expected_mask) in enumerate(examples, start=1):
        np.testing.assert_array_equal(ids[row], expected)
        np.testing.assert_array_equal(mask[row], expected_mask)
    streams = [np.concatenate(ARRAYS)] if layout == "packed" else ARRAYS
    targets = [token for stream in streams for token in stream.tolist()[1:]]  # The first of a stream is only context.
    assert ids[:, 1:][mask[:, 1:]].numpy().tolist() == targets
    assert examples.tokens == len(targets)


def test_only_some_ids_are_targets():
    flags = [[False, True, False, True, True, False, True], [True, False, True], [True]]
    documents = IdDocuments.from_arrays(ARRAYS, [np.array(flag) for flag in flags])
    examples = Examples(documents, 4, "padded")
    ids, mask, scored = examples.gather(tf.constant([0, 1, 2, -1], tf.int64))
    assert ids.numpy().tolist() == [[1, 2, 3, 4, 5], [5, 6, 7, 0, 0], [20, 21, 22, 0, 0], [0] * 5]
    assert mask.numpy().sum(axis=1).tolist() == [5, 3, 3, 0]
    assert scored.numpy()[:, 1:].tolist() == [
        [True, False, True, True],
        [False, True, False, False],
        [False, True, False, False],
        [False] * 4,
    ]
    assert examples.tokens == 5
    assert examples.spread(1).tokens == 3
    for none in ([False] * 7, [True, *[False] * 6]):
        with pytest.raises(ValueError, match=r"documents must hold at least one target. Received: 7 ids"):
            Examples(IdDocuments.from_arrays(ARRAYS[:1], [np.array(none)]), 4, "padded")


def test_a_dataset_is_a_function_of_seed_and_step_for_every_shard():
    examples = Examples(IdDocuments.from_arrays(np.arange(60).reshape(12, 5)), 4, "padded")

    def batches(start, shard=None):
        dataset = datasets.train_dataset(examples, 4, seed=3, start_step=start, shard=shard)
        assert dataset.element_spec[0].shape == (4 if shard is None else 2, 5)
        return [ids.tolist() for ids, _ in dataset.take(6 if shard is None else 12).as_numpy_iterator()]

    whole = batches(0)
    assert batches(2)[:4] == whole[2:]
    assert sorted(row[0] for batch in whole[:3] for row in batch) == list(range(0, 60, 5))
    parts = [batches(0, Shard(first, 1, 2)) for first in (0, 1)]
    assert [first + second for first, second in zip(*parts, strict=True)][:6] == whole


def test_equal_documents_have_equal_fingerprints_in_any_form(tmp_path):
    rows = np.arange(12).reshape(3, 4)
    np.save(tmp_path / "rows.npy", rows.astype(np.uint16))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    fingerprint = IdDocuments.from_arrays(rows).fingerprint
    assert IdDocuments.from_arrays(mapped).fingerprint == fingerprint
    assert IdDocuments.from_arrays(rows.astype(">i8")).fingerprint == fingerprint
    flags = np.ones(rows.shape, bool)
    others = [rows + 1, rows.reshape(2, 6), rows[::-1], rows[:2]]
    fingerprints = {IdDocuments.from_arrays(other).fingerprint for other in others}
    fingerprints |= {IdDocuments.from_arrays(rows, flags).fingerprint, fingerprint}
    assert len(fingerprints) == 6


@pytest.mark.parametrize(("wrong", "value"), [(7, 7), (-1, -1), (2**31, 2**31), (2**32 + 1, 2**32 + 1)])
def test_an_id_outside_the_vocabulary_is_named_with_its_position(wrong, value):
    documents = IdDocuments.from_arrays([np.array([0, 6]), np.array([1, 2, wrong, wrong])])
    message = rf"`config.data` must have ids from 0 to 6, .* is 7. Received: id {value} in document 1 at offset 2"
    with pytest.raises(ValueError, match=message):
        documents.check(7)
    IdDocuments.from_arrays([np.array([0, 6])]).check(7)


@pytest.mark.parametrize(
    "array", [np.ones(2), np.ones((2, 2), int), np.ones(0, int), np.array([True]), np.array(["a"]), np.array(1)]
)
def test_only_arrays_of_integers_are_documents(array):
    with pytest.raises(ValueError, match=r"`documents` must be arrays of integers .* Received: document 1 with shape"):
        IdDocuments.from_arrays([np.array([1]), array])


@pytest.mark.parametrize("flags", [[[True]], [[True], [True]], [[1, 0], [True]], [[True, False], [True], [True]]])
def test_targets_must_fit_the_documents(flags):
    with pytest.raises(ValueError, match=r"`scored` must hold a boolean for each id of each document. Received"):
        IdDocuments.from_arrays([[1, 2], [3]], flags)


def test_entropies_count_targets_only():
    documents = IdDocuments.from_arrays([[0, 1, 0, 1, 0, 1], [2, 0, 1, 0, 1, 1]])
    ids = [1, 0, 1, 0, 1, 0, 1, 0, 1, 1]  # Without the first of each document.
    probabilities = np.bincount(ids) / len(ids)
    expected = -(probabilities * np.log2(probabilities)).sum()
    assert id_entropy(documents, 3, layout="padded") == pytest.approx(expected)
    # After 0 always 1, after 2 always 0, after 1 three times 0 and once 1.
    found = id_entropy(documents, 3, context=1, layout="padded")
    assert found == pytest.approx(-(3 * np.log2(3 / 4) + np.log2(1 / 4)) / 10)
    some = IdDocuments.from_arrays([[0, 1, 2, 3, 4]], [[True, True, True, False, False]])
    assert id_entropy(some, 5) == 1.0
    assert np.isnan(id_entropy(IdDocuments.from_arrays([[0]]), 1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("overlap", [0, 1])
def test_entropies_are_those_of_the_targets_of_the_examples(layout, overlap):
    """Slow reference: the targets are read from the examples, each with the id before it."""
    documents = IdDocuments.from_arrays([[2, 1], [2, 1], [0], [2, 0, 0], [1]])
    cut = Examples(documents, 3, layout, overlap=overlap)
    rows = [ids[mask].tolist() for ids, mask in cut]
    targets = [target for row in rows for target in row[overlap:]]
    assert id_entropy(documents, 3, layout=layout, overlap=overlap) == pytest.approx(_bits(targets))
    if overlap:
        pairs = [pair for row in rows for pair in itertools.pairwise(row)]
        expected = _bits(pairs) - _bits([before for before, _ in pairs])
        assert id_entropy(documents, 3, context=1, layout=layout) == pytest.approx(expected)
    else:
        with pytest.raises(ValueError, match="`context` must be 0 where .* Received: context=1, overlap=0"):
            id_entropy(documents, 3, context=1, layout=layout, overlap=0)


def _bits(values):
    counts = np.array([*collections.Counter(values).values()])
    return -(counts / len(values) * np.log2(counts / len(values))).sum()

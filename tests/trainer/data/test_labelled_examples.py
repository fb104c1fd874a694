"""Examples of labelled documents: rows, masks, labels, widths and parts."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.tokenizers import ByteTokenizer
from trainer.data import datasets
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.labelled_examples import LabelledExamples
from trainer.data.stored_ids import StoredIds

NAMES = ("no", "yes")
TEXTS = [b"abcdef", b"", b"xy"]


def _documents(pairs=None):
    return LabelledDocuments(Documents(TEXTS), np.array([1, 0, 1]), NAMES, pairs)


def _gather(examples, *indices, among=None):
    among = None if among is None else tf.constant(among, tf.int64)
    return [tensor.numpy() for tensor in examples.gather(tf.constant(indices, tf.int64), among)]


def test_rows_are_the_first_ids_after_the_boundary():
    examples = LabelledExamples(_documents(), ByteTokenizer(), 4)
    ids, mask, labels = _gather(examples, 0, 1, 2, -1)
    assert ids.tolist() == [[256, 97, 98, 99], [256, 0, 0, 0], [256, 120, 121, 0], [0, 0, 0, 0]]
    assert mask.sum(axis=1).tolist() == [*examples.sizes.tolist(), 0] == [4, 1, 3, 0]
    assert (labels.tolist(), labels.dtype) == ([1, 0, 1, -1], np.int32)
    assert (len(examples), examples.tokens) == (3, 8)


def test_another_tokenizer():
    ids, _, _ = _gather(LabelledExamples(_documents(), ByteTokenizer(first=2, boundary=0), 3), 2)
    assert ids.tolist() == [[0, 122, 123]]


def test_rows_of_ids_have_no_boundary():
    rows = IdDocuments.from_arrays([[5, 6, 7], [8]])
    examples = LabelledExamples(LabelledDocuments(rows, np.array([0, 1]), NAMES), ByteTokenizer(), 2)
    ids, mask, _ = _gather(examples, 0, 1)
    assert ids.tolist() == [[5, 6], [8, 0]]
    assert mask.tolist() == [[True, True], [True, False]]


def test_pairs_and_length_buckets():
    examples = LabelledExamples(_documents(Documents([b"1", b"23", b"45678"])), ByteTokenizer(), 8, (3, 5))
    ids, _, pair_ids, pair_mask, labels = _gather(examples, 1, 2)
    assert ids.tolist() == [[256, 0, 0], [256, 120, 121]]
    assert pair_ids.tolist() == [[256, 50, 51, 0, 0, 0, 0, 0], [256, 52, 53, 54, 55, 56, 0, 0]]
    assert pair_mask.sum(axis=1).tolist() == [3, 6]
    assert labels.tolist() == [0, 1]
    assert examples.sizes.tolist() == [9, 4, 9]
    ids, _, pair_ids, _, _ = _gather(examples, 1, among=[0, 1])
    assert (ids.shape, pair_ids.shape) == ((1, 8), (1, 3))


def test_spread_keeps_rows_and_labels_together():
    examples = LabelledExamples(_documents(), ByteTokenizer(), 4)
    few = examples.spread(2)
    assert (len(few), few.tokens, few.labels.tolist()) == (2, 5, [1, 0])
    assert _gather(few, 1)[0].tolist() == [[256, 0, 0, 0]]
    assert examples.spread(0) is examples.spread(9) is examples


def test_batches():
    examples = LabelledExamples(_documents(), ByteTokenizer(), 4)
    batches = [*datasets.validation_dataset(examples, 2)]
    assert [labels.numpy().tolist() for _, _, labels in batches] == [[1, 0], [1, -1]]
    dataset = datasets.train_dataset(examples, 3, seed=1)
    assert [spec.shape.as_list() for spec in dataset.element_spec] == [[3, 4], [3, 4], [3]]
    _, _, labels = next(iter(dataset))
    assert sorted(labels.numpy()) == [0, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelledDocuments(Documents(TEXTS), np.array([0, 1]), NAMES), r"one for each document. .*\(2,\) for "),
        (lambda: LabelledDocuments(Documents([b"a"]), np.array([0]), (0, 1)), r"none empty. Received: \(0, 1\)"),
        (lambda: LabelledDocuments(Documents([b"a"]), np.array([0]), ("x", "x")), "label_names must be different str"),
        (lambda: LabelledDocuments(Documents([b"a"]), np.array([0]), ("x", "")), "label_names must be different str"),
        (lambda: LabelledDocuments(Documents([b"a"]), np.array([2]), NAMES), "from 0 to 1, of 2 names. Received: arr"),
        (lambda: LabelledDocuments(Documents([b"a"]), np.array([0.5]), NAMES), "labels must be integers from 0 to 1"),
        (lambda: _documents(Documents([b"a"])), r"one for each document. Received: \(3,\) for \[3, 1\]"),
        (lambda: LabelledExamples(_documents(), ByteTokenizer(), 0), "sequence_length must be a positive integer"),
        (lambda: LabelledExamples(_documents(), ByteTokenizer(), 4, (8,)), "length_buckets must be positive integers"),
        (
            lambda: LabelledExamples(LabelledDocuments(Documents([]), np.zeros(0, int), NAMES), ByteTokenizer(), 4),
            "documents must hold at least one document. Received: none",
        ),
        (
            lambda: LabelledExamples(
                LabelledDocuments(IdDocuments(StoredIds([]), np.array([0, 0])), np.array([0]), NAMES),
                ByteTokenizer(),
                4,
            ),
            "documents must have at least one id each. Received: none in document 0",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

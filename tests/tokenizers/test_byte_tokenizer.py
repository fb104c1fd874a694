"""The tokenizer of bytes: the same ids in Python and in a graph."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.tokenizers import ByteTokenizer

TOKENIZERS = pytest.mark.parametrize("tokenizer", [ByteTokenizer(), ByteTokenizer(first=2, boundary=0)])


@TOKENIZERS
def test_text_there_and_back(tokenizer):
    data = bytes(range(256))
    ids = tokenizer.to_ids(data)
    assert ids.dtype == np.int32
    assert ids[0] == tokenizer.boundary == tokenizer.end
    assert tokenizer.to_bytes(ids) == data
    assert np.array_equal(tokenizer.byte_counts[ids], [0] + [1] * 256)
    assert ids.max() < tokenizer.vocabulary_size == len(tokenizer.byte_counts)
    assert tokenizer.to_ids("é").tolist() == tokenizer.to_ids("é".encode()).tolist()
    assert tokenizer.to_ids("").tolist() == [tokenizer.boundary]
    assert tokenizer.to_bytes([]) == b""


@TOKENIZERS
def test_a_graph_gives_the_same(tokenizer):
    texts = [bytes(range(256)), b"a", b"", "é".encode()]
    ids, lengths = tf.function(lambda rows: tokenizer.encode(rows, 0, 256))(tf.constant(texts))
    for text, row, length in zip(texts, ids.numpy(), lengths.numpy(), strict=True):
        assert row[:length].tolist() == tokenizer.to_ids(text)[1:].tolist()
    counts = tf.maximum(lengths - 1, 0)
    new = tokenizer.decode(ids, lengths, ids, counts).numpy()
    expected = [tokenizer.to_bytes(row[:count]) for row, count in zip(ids.numpy(), counts.numpy(), strict=True)]
    assert new.tolist() == expected


def test_the_ids_of_each_tokenizer():
    assert ByteTokenizer().to_ids("ab").tolist() == [256, 97, 98]
    assert ByteTokenizer(first=2, boundary=0).to_ids("ab").tolist() == [0, 99, 100]


@TOKENIZERS
def test_ids_that_stand_for_no_text_are_left_out(tokenizer):
    extra = [1, 999, tokenizer.boundary] if tokenizer.first else [999, tokenizer.boundary]
    assert tokenizer.to_bytes([*tokenizer.to_ids(b"a"), *extra]) == b"a"

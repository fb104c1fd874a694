"""Schemes of ids: text there and back, and the bytes that ids stand for."""

import math

import numpy as np
import pytest
import tensorflow as tf

from trainer import gradients, text, tokens
from trainer.evaluation import Evaluation
from trainer.windows import Windows

SCHEMES = pytest.mark.parametrize("scheme", [tokens.BYTES, tokens.SHIFTED_BYTES], ids=lambda scheme: scheme.name)


@SCHEMES
def test_text_there_and_back(scheme):
    data = bytes(range(256))
    ids = scheme.encode(data)
    assert ids.dtype == np.int32
    assert ids[0] == scheme.boundary
    assert scheme.decode(ids) == data
    assert np.array_equal(scheme.byte_counts[ids], [0] + [1] * 256)
    assert ids.max() < scheme.vocabulary_size == len(scheme.byte_counts)
    assert scheme.encode("é").tolist() == scheme.encode("é".encode()).tolist()


def test_the_ids_of_each_scheme():
    assert tokens.BYTES.encode("ab").tolist() == text.encode("ab").tolist() == [256, 97, 98]
    assert tokens.SHIFTED_BYTES.encode("ab").tolist() == [0, 99, 100]


@SCHEMES
def test_ids_that_stand_for_no_text_are_left_out(scheme):
    extra = [1, 999, scheme.boundary] if scheme is tokens.SHIFTED_BYTES else [999, scheme.boundary]
    assert scheme.decode([*scheme.encode(b"a"), *extra]) == b"a"


def test_documents():
    documents = text.Documents([b"ab", b"", b"c"])
    assert tokens.BYTES.documents(documents) is documents
    shifted = tokens.SHIFTED_BYTES.documents(documents)
    assert shifted.ids.tolist() == [0, 99, 100, 0, 0, 101]
    assert shifted.offsets.tolist() == documents.offsets.tolist()
    assert (len(shifted), shifted.num_bytes) == (3, 3)
    windows = [Windows(each, 4, "padded") for each in (documents, shifted)]
    for (ids, mask), (others, other_mask) in zip(*windows, strict=True):
        np.testing.assert_array_equal(mask, other_mask)
        np.testing.assert_array_equal(others[mask], tokens.SHIFTED_BYTES.encode(bytes(ids[mask][1:].tolist())))


@SCHEMES
def test_bits_per_byte_are_of_bytes(scheme):
    """A model that gives each id a loss of its own: boundaries cost 1000 nats, and count as tokens alone."""

    class Model:
        def token_losses(self, ids, mask, training):
            costs = np.where(scheme.byte_counts > 0, math.log(2.0), 1000.0).astype(np.float32)
            return tf.where(mask[:, 1:], tf.gather(costs, ids[:, 1:]), 0.0)

    documents = scheme.documents(text.Documents([b"abc", b"de", b"f"]))
    windows = Windows(documents, 4)
    numbers = Evaluation(Model(), tf.distribute.get_strategy(), windows, 2, tokens=scheme).run()
    assert numbers["bits_per_byte"] == pytest.approx(1.0)
    assert (numbers["tokens"], numbers["bytes"]) == (8, 6)
    ids, mask = (tf.constant(part[None]) for part in windows[0])
    assert [float(x) for x in gradients.count_targets(ids, mask, scheme)] == [4.0, 3.0]


def test_unknown_schemes():
    assert tokens.of_config({}) is tokens.BYTES
    with pytest.raises(ValueError, match=r"config.data.tokens must be one of bytes, shifted_bytes. Received: 'words'"):
        tokens.of_config({"tokens": "words"})

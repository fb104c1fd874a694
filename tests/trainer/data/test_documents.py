"""Documents as ids, and the entropy of their bytes."""

import collections
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import documents as text

DOCUMENTS = st.lists(st.binary(max_size=40), max_size=8)


@given(DOCUMENTS)
@settings(deadline=None)
def test_documents_stay_as_they_are(documents):
    parsed = text.Documents(documents)
    assert list(parsed) == documents
    assert parsed[1:] == documents[1:]
    assert parsed.num_bytes == sum(map(len, documents))
    assert parsed.ids.dtype == np.uint16
    assert [int(parsed.ids[start]) for start in parsed.offsets[:-1]] == [text.BOUNDARY] * len(documents)


def test_documents_index_like_a_sequence():
    documents = text.Documents([b"ab", b"", b"c"])
    assert documents[-1] == b"c"
    assert documents[0:2] == [b"ab", b""]
    with pytest.raises(IndexError):
        documents[3]


def test_fingerprint_tells_documents_apart():
    fingerprints = [text.Documents(d).fingerprint for d in ([b"ab", b"c"], [b"a", b"bc"], [b"c", b"ab"], [b"abc"])]
    assert len(set(fingerprints)) == 4
    assert text.Documents(iter([b"ab", b"c"])).fingerprint == fingerprints[0]


def test_documents_must_be_bytes():
    with pytest.raises(ValueError, match=r"documents must hold bytes. Received: an entry of type str"):
        text.Documents(["text"])


def _slow_entropy(documents, order):
    pairs = collections.Counter()
    for document in documents:
        before = text.BOUNDARY
        for byte in document:
            pairs[before if order else None, byte] += 1
            before = byte
    contexts = collections.Counter()
    for (before, _), count in pairs.items():
        contexts[before] += count
    bits = sum(-count * math.log2(count / contexts[before]) for (before, _), count in pairs.items())
    return bits / sum(pairs.values())


@given(DOCUMENTS.filter(any), st.sampled_from([0, 1]))
@settings(deadline=None, max_examples=50)
def test_byte_entropy_counts_each_byte_once(documents, order):
    assert text.byte_entropy(documents, order) == pytest.approx(_slow_entropy(documents, order), abs=1e-12)


def test_byte_entropy_does_not_depend_on_the_block_size(monkeypatch):
    documents = [np.random.RandomState(0).bytes(5000), b"abcab" * 300]
    expected = [text.byte_entropy(documents, order) for order in (0, 1)]
    monkeypatch.setattr(text, "_BLOCK", 17)
    assert [text.byte_entropy(documents, order) for order in (0, 1)] == expected


def test_byte_entropy_of_known_texts():
    assert text.byte_entropy([b"abab"], order=0) == 1.0
    assert text.byte_entropy([b"abab"], order=1) == 0.0
    assert text.byte_entropy([bytes(range(256))], order=0) == 8.0


def test_byte_entropy_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"order must be 0 or 1. Received: order=2"):
        text.byte_entropy([b"a"], order=2)
    with pytest.raises(ValueError, match=r"documents must hold at least one byte. Received: no byte"):
        text.byte_entropy([b""])

"""Documents are cut without losing a byte, in both layouts."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.documents import BOUNDARY, Documents
from trainer.data.examples import LAYOUTS, Examples

DOCUMENTS = st.lists(st.binary(max_size=30), min_size=1, max_size=6).filter(any)
LENGTHS = st.integers(1, 12)


def _reassemble(examples):
    """Joins examples to the streams that they were cut from; an example within a stream repeats one id."""
    streams = []
    for index, (ids, mask) in enumerate(examples):
        real = ids[mask].tolist()
        if (examples.layout == "packed" and index == 0) or (examples.layout == "padded" and real[0] == BOUNDARY):
            streams.append(real)
        else:
            assert real[0] == streams[-1][-1]
            streams[-1] += real[1:]
    return streams


@given(DOCUMENTS, LENGTHS)
@settings(deadline=None, max_examples=200)
def test_packed_examples_give_the_stream_of_all_documents(documents, length):
    examples = Examples(documents, length, "packed")
    assert _reassemble(examples) == [[id_ for document in documents for id_ in (BOUNDARY, *document)]]
    assert all(mask.all() for _, mask in examples[:-1])


@given(DOCUMENTS, LENGTHS)
@settings(deadline=None, max_examples=200)
def test_padded_examples_give_each_document(documents, length):
    examples = Examples(documents, length, "padded")
    assert _reassemble(examples) == [[BOUNDARY, *document] for document in documents if document]


@given(DOCUMENTS, LENGTHS, st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=100)
def test_each_byte_is_a_target_once(documents, length, layout):
    examples = Examples(documents, length, layout)
    targets = [id_ for ids, mask in examples for id_ in ids[1:][mask[1:]].tolist()]
    assert bytes(id_ for id_ in targets if id_ != BOUNDARY) == b"".join(documents)
    assert len(targets) == examples.tokens
    assert sum(id_ != BOUNDARY for id_ in targets) == examples.target_bytes
    for ids, mask in examples:
        assert ids.shape == mask.shape == (length + 1,)
        assert ids.dtype == np.int32
        assert mask.sum() >= 2  # each example has a target
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)
        assert not ids[~mask].any()


@given(DOCUMENTS, LENGTHS, st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=20)
def test_gather_cuts_the_same_examples(documents, length, layout):
    examples = Examples(documents, length, layout)
    permutation = np.random.RandomState(0).permutation(len(examples))
    ids, mask = examples.gather(tf.constant([*permutation, -1], tf.int64))
    for row, index in enumerate(permutation):
        np.testing.assert_array_equal(ids[row], examples[int(index)][0])
        np.testing.assert_array_equal(mask[row], examples[int(index)][1])
    assert not mask[-1].numpy().any()
    assert not ids[-1].numpy().any()


def test_layouts_by_hand():
    packed = Examples([b"\1\2\3\4", b"\5"], 4, "packed")
    assert [ids.tolist() for ids, _ in packed] == [[256, 1, 2, 3, 4], [4, 256, 5, 0, 0]]
    assert packed[1][1].tolist() == [True, True, True, False, False]
    assert (packed.tokens, packed.target_bytes) == (6, 5)
    padded = Examples([b"\1\2\3\4\5", b"", b"\6"], 4, "padded")
    assert [ids.tolist() for ids, _ in padded] == [[256, 1, 2, 3, 4], [4, 5, 0, 0, 0], [256, 6, 0, 0, 0]]
    assert (padded.tokens, padded.target_bytes) == (6, 6)


@given(DOCUMENTS, LENGTHS, st.sampled_from(LAYOUTS), st.integers(0, 9))
@settings(deadline=None, max_examples=50)
def test_some_examples_at_equal_distances(documents, length, layout, count):
    examples = Examples(documents, length, layout)
    examples.gather(tf.constant([0], tf.int64))  # The chosen examples must not reuse the tensors that this makes.
    some = examples.spread(count)
    if not 0 < count < len(examples):
        assert len(some) == len(examples)
        return
    indices = [index * len(examples) // count for index in range(count)]
    assert indices[0] == 0 and len(set(indices)) == count
    assert np.ptp(np.diff([*indices, len(examples)])) <= 1
    ids, mask = some.gather(tf.range(count, dtype=tf.int64))
    for row, index in enumerate(indices):
        np.testing.assert_array_equal(ids[row], examples[index][0])
        np.testing.assert_array_equal(mask[row], examples[index][1])
    assert some.tokens == sum(int(mask.sum()) - 1 for _, mask in some)
    assert len(examples) == len(Examples(documents, length, layout))


def test_examples_do_not_copy_the_documents():
    documents = Documents([b"abc"])
    assert Examples(documents, 2).documents is documents


@pytest.mark.parametrize("length", [0, -3, 2.0, True, None])
def test_sequence_length_is_checked(length):
    with pytest.raises(ValueError, match=r"sequence_length must be a positive integer. Received"):
        Examples([b"abc"], length)


def test_layout_is_checked():
    with pytest.raises(ValueError, match=r"layout must be one of packed, padded. Received: layout='loose'"):
        Examples([b"abc"], 2, "loose")


@pytest.mark.parametrize("documents", [[], [b"", b""]])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_to_cut_is_refused(documents, layout):
    with pytest.raises(ValueError, match=f"at least one byte. Received: {len(documents)} documents"):
        Examples(documents, 2, layout)


@given(DOCUMENTS, LENGTHS, st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=50)
def test_a_count_takes_the_first_full_examples(documents, length, layout):
    full = [ids for ids, mask in Examples(documents, length, layout) if mask.all()]
    for count in range(1, len(full) + 1):
        examples = Examples(documents, length, layout, count)
        assert len(examples) == count
        assert examples.tokens == count * length
        for (ids, mask), expected in zip(examples, full, strict=False):
            np.testing.assert_array_equal(ids, expected)
            assert mask.all()
    with pytest.raises(ValueError, match=f"at least {len(full) + 1} full examples .* with {len(full)} such examples"):
        Examples(documents, length, layout, len(full) + 1)


@pytest.mark.parametrize("count", [-1, 2.0, True])
def test_count_is_checked(count):
    with pytest.raises(ValueError, match=r"count must be an integer and not negative. Received: count="):
        Examples([b"abcdef"], 2, count=count)

"""Examples of pairs: rows of both sides, ends, masks, widths, pairs that are too long, and texts."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.tokenizers import ByteTokenizer, SentencePieceTokenizer
from tests.tokenizers import pieces
from trainer.data import datasets
from trainer.data.documents import Documents
from trainer.data.pair_documents import PairDocuments
from trainer.data.pair_examples import PairExamples

PAIRS = [(b"ab", b"xyz"), (b"abcdef", b"u"), (b"c", b"uvwxyz"), (b"d", b"")]


def _examples(source_length=6, target_length=7, buckets=(), tokenizer=None, rows=PAIRS):
    documents = PairDocuments.from_pairs(rows)
    return PairExamples(documents, tokenizer or ByteTokenizer(), source_length, target_length, buckets)


def _gather(examples, *indices, among=None):
    among = None if among is None else tf.constant(among, tf.int64)
    return [tensor.numpy() for tensor in examples.gather(tf.constant(indices, tf.int64), among)]


def test_a_target_has_an_end_and_a_source_no_boundary():
    examples = _examples()
    sources, source_mask, targets, target_mask = _gather(examples, 0, 3, 2, -1)
    assert sources.tolist() == [[97, 98, 0, 0, 0, 0], [100, *[0] * 5], [99, *[0] * 5], [0] * 6]
    assert targets.tolist() == [[120, 121, 122, 256, 0, 0, 0], [256, *[0] * 6], [*b"uvwxyz", 256], [0] * 7]
    assert source_mask.sum(axis=1).tolist() == [2, 1, 1, 0]
    assert target_mask.sum(axis=1).tolist() == [4, 1, 7, 0]
    assert [part.dtype for part in (sources, source_mask, targets, target_mask)] == [np.int32, bool] * 2
    assert (examples.sizes.tolist(), examples.tokens, examples.target_tokens) == ([6, 8, 8, 2], 24, 14)
    assert examples.notes == ()


def test_other_ids_of_bytes():
    sources, _, targets, _ = _gather(_examples(tokenizer=ByteTokenizer(first=2, boundary=0)), 0)
    assert sources.tolist() == [[99, 100, 0, 0, 0, 0]]
    assert targets.tolist() == [[122, 123, 124, 0, 0, 0, 0]]


def test_pieces_end_with_the_end_of_the_model(tmp_path):
    tokenizer = SentencePieceTokenizer(pieces.train(tmp_path, vocab_size=40))
    rows = [(b"abc de", b"fg"), (b"h", b"ab ab")]
    sources, source_mask, targets, target_mask = _gather(_examples(20, 20, tokenizer=tokenizer, rows=rows), 0, 1)
    assert tokenizer.end == 2 != tokenizer.boundary  # As SentencePiece numbers it, unless it is told otherwise.
    for row, (source, target) in enumerate(rows):
        assert sources[row][source_mask[row]].tolist() == tokenizer.to_ids(source)[1:].tolist()
        ids = targets[row][target_mask[row]]
        assert ids.tolist() == [*tokenizer.to_ids(target)[1:], 2]
        assert tokenizer.to_bytes(ids) == target


def test_a_model_without_an_end_has_the_boundary(tmp_path):
    tokenizer = SentencePieceTokenizer(pieces.train(tmp_path, vocab_size=40, eos_id=-1))
    assert tokenizer.end == tokenizer.boundary == 0


def test_pairs_that_are_too_long_are_left_out_and_said():
    examples = _examples(5, 4)
    assert examples.notes == (
        "2 of 4 pairs are left out as too long: 1 by a source of more than 5 ids, 1 by a target of more than 4 with "
        "its end.",
    )
    assert len(examples) == 2
    assert _gather(examples, 1)[0].tolist() == [[100, 0, 0, 0, 0]]
    assert (examples.texts(1), examples.sources(), examples.references()) == ((b"d", b""), [b"ab", b"d"], [b"xyz", b""])
    assert _examples(6, 7).notes == ()  # Exactly as long as may be.
    assert len(_examples(6, 6)) == 3


def test_both_sides_have_the_smallest_length_that_holds_the_longest_row():
    examples = _examples(6, 7, (2, 4, 7))
    assert [part.shape[1] for part in _gather(examples, 0, 3)] == [4, 4, 4, 4]
    assert [part.shape[1] for part in _gather(examples, 3)] == [2, 2, 2, 2]
    assert [part.shape[1] for part in _gather(examples, 1)] == [6, 6, 7, 7]  # 7 is clipped to the largest source.
    assert [part.shape[1] for part in _gather(examples, 3, among=[1, 2, 3])] == [6, 6, 7, 7]
    assert [part.shape[1] for part in _gather(_examples(6, 7), 3)] == [6, 6, 7, 7]


def test_spread_has_rows_and_texts_of_the_same_pairs():
    few = _examples(6, 6).spread(2)
    assert (len(few), few.tokens) == (2, 14)
    for index, (source, target) in enumerate([(b"ab", b"xyz"), (b"abcdef", b"u")]):
        ids, mask, *_ = _gather(few, index)
        assert bytes(ids[mask].tolist()) == source
        assert few.texts(index) == (source, target)
    assert few.spread(0) is few.spread(9) is few


def test_batches():
    examples = _examples()
    batches = [*datasets.validation_dataset(examples, 3)]
    assert [part.shape for part in batches[0]] == [(3, 6), (3, 6), (3, 7), (3, 7)]
    assert batches[1][1].numpy().any(axis=1).tolist() == [True, False, False]
    dataset = datasets.train_dataset(examples, 4, seed=1)
    assert [spec.shape.as_list() for spec in dataset.element_spec] == [[4, 6], [4, 6], [4, 7], [4, 7]]
    assert sorted(next(iter(dataset))[3].numpy().sum(axis=1)) == [1, 2, 4, 7]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairDocuments(Documents([b"a"]), Documents([])), "one for each source. Received: 0 for 1 source"),
        (lambda: PairDocuments(Documents([b"a"]), [b"a"]), "targets must be `Documents`. Received: a list"),
        (lambda: _examples(0), "source_length must be a positive integer. Received: 0"),
        (lambda: _examples(target_length=True), "target_length must be a positive integer. Received: True"),
        (lambda: _examples(6, 7, (8,)), r"length_buckets must be .* none above sequence_length, 7. Received: .*\(8,\)"),
        (lambda: _examples(rows=[]), "documents must hold at least one pair. Received: none"),
        (lambda: _examples(rows=[(b"a", b"b"), (b"", b"c")]), "at least one id each. Received: none in pair 1"),
        (
            lambda: _examples(1, 1, rows=[(b"ab", b"a"), (b"c", b"de")]),
            r"at most 1 and 1 ids, .* Received: 2 pair\(s\); the shortest source has 1 and the shortest target 2",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""The tokenizer of SentencePiece pieces, in Python; `tests/export/test_sentencepiece.py` has it in an export."""

import itertools
import sys

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.tokenizers import SentencePieceTokenizer
from tests.tokenizers import pieces


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return pieces.train(tmp_path_factory.mktemp("pieces"), vocab_size=40)


def test_text_there_and_back(model_file):
    tokenizer = SentencePieceTokenizer(model_file)
    line = model_file.with_name("text.txt").read_text().splitlines()[0]
    ids = tokenizer.to_ids(line)
    assert ids.dtype == np.int32
    assert ids[0] == 0
    assert len(ids) < len(line)
    assert ids.max() < tokenizer.vocabulary_size == len(tokenizer.byte_counts) == 40
    assert tokenizer.to_bytes(ids) == line.encode()
    assert tokenizer.to_bytes([*ids.tolist(), 0, 1, 999]) == line.encode()
    # The blank that begins each text counts as well.
    assert tokenizer.byte_counts[ids].sum() == len(line) + 1


def test_a_boundary_may_be_an_id_of_its_own(model_file):
    tokenizer = SentencePieceTokenizer(model_file, boundary=50)
    assert tokenizer.vocabulary_size == len(tokenizer.byte_counts) == 51
    assert tokenizer.byte_counts[50] == 0
    assert SentencePieceTokenizer(model_file, boundary=5).byte_counts[5] == 0 < tokenizer.byte_counts[5]
    assert tokenizer.to_bytes(tokenizer.to_ids("abc")) == b"abc"


def test_pieces_and_bytes(tmp_path):
    """A model with byte pieces for unknown characters: each id adds to the text, also within a character."""
    tokenizer = SentencePieceTokenizer(pieces.train(tmp_path, vocab_size=300, byte_fallback=True))
    for written in ("abc é dé€a", "é abc", "😀"):
        ids = tokenizer.to_ids(written).tolist()
        came = [tokenizer.to_bytes(ids[:count]) for count in range(len(ids) + 1)]
        assert came[-1] == written.encode()
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(came))
        assert tokenizer.byte_counts[ids].sum() == len(written.encode()) + 1


def test_a_text_after_nothing_such_as_a_translation(model_file):
    pytest.importorskip("tensorflow_text")
    tokenizer = SentencePieceTokenizer(model_file)
    text = "abc fed"
    ids = [*tokenizer.to_ids(text).tolist()[1:], tokenizer.end]
    padded = tf.constant([[*ids, -1], [-1] * (len(ids) + 1)])
    nothing, none = tf.zeros([2, 0], tf.int32), tf.zeros([2], tf.int32)
    assert tokenizer.decode(nothing, none, padded, tf.constant([len(ids), 0])).numpy().tolist() == [text.encode(), b""]


def test_what_is_refused(model_file, tmp_path):
    with pytest.raises(ValueError, match=r"path must be the file of a SentencePiece model. Received: path='.*none'"):
        SentencePieceTokenizer(str(tmp_path / "none"))
    (tmp_path / "text.model").write_text("no model")
    with pytest.raises(
        ValueError, match=r"path must be the file of a SentencePiece model. Received: path=.*text.model"
    ):
        SentencePieceTokenizer(tmp_path / "text.model")


def test_each_half_needs_its_package_only(model_file, monkeypatch):
    pytest.importorskip("tensorflow_text")
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    assert SentencePieceTokenizer(model_file).to_ids("abc")[0] == 0
    with pytest.raises(ValueError, match=r"tensorflow-text in an export. Received: an environment without"):
        _ = SentencePieceTokenizer(model_file).resources
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    tokenizer = SentencePieceTokenizer(model_file)
    assert tokenizer.vocabulary_size == 40
    assert len(tokenizer.resources) == 1
    with pytest.raises(
        ValueError, match=r"takes the package sentencepiece in Python. Received: an environment without"
    ):
        tokenizer.to_ids("abc")

"""Vocabularies of SentencePiece: what is read, text there and back, the same model each time, and refusals."""

import sys

import pytest

from reformer_tf.tokenizers import SentencePieceTokenizer
from trainer.data import vocabularies

pytest.importorskip("sentencepiece")
TEXT = "Grüße aus Köln\n  zwei  Leerzeichen\n\nein\tTab und die Straße\n" * 30


@pytest.fixture(scope="module")
def lines():
    return [line.encode() for line in TEXT.splitlines() if line]


def _tokenizer(model, folder):
    (folder / "a.model").write_bytes(model)
    return SentencePieceTokenizer(folder / "a.model")


@pytest.mark.parametrize("model_type", vocabularies.MODEL_TYPES)
def test_text_there_and_back(lines, tmp_path, model_type):
    model = vocabularies.train(lines, 285, model_type)
    assert vocabularies.train(lines, 285, model_type) == model
    tokenizer = _tokenizer(model, tmp_path)
    assert (tokenizer.vocabulary_size, tokenizer.boundary, tokenizer.end) == (285, 0, 1)
    texts = [
        "Grüße",
        " a",
        "  a  b ",
        "a\nb\r\n",
        "\nx",
        "\t",
        "日本 €",
        "</s><0x41><unk>",
        "a\0b",
        "ﬁ Å Å",
        " \n ",
        "",
    ]
    for text in [*texts, TEXT]:
        ids = [*tokenizer.to_ids(text).tolist(), tokenizer.end]
        assert 2 not in ids
        assert tokenizer.to_bytes(ids) == text.encode()
    assert tokenizer.to_bytes(tokenizer.to_ids("a\u2581b")) == b"a b"  # The sign that SentencePiece has for a blank.
    assert len(tokenizer.to_ids("Grüße aus Köln")) < len("Grüße aus Köln".encode())


def test_long_lines_are_read_as_others(lines):
    """By itself SentencePiece leaves out lines of more than 4,192 bytes."""
    assert vocabularies.train([b" ".join(lines * 10)], 285)
    assert len(b" ".join(lines * 10)) > 5000


def test_rare_characters_become_bytes(lines, tmp_path):
    model = vocabularies.train([*lines, "ж".encode()], 285, coverage=0.99)
    ids = _tokenizer(model, tmp_path).to_ids("ж")
    assert [value - 3 for value in ids[2:]] == [*"ж".encode()]  # After the boundary and the blank before each text.


def test_lines_of_files_and_pairs(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one\n\n two\r\n")
    (tmp_path / "texts" / "b.bin").write_bytes(b"\0")
    (tmp_path / "texts" / "c.tsv").write_text("en\tde\nday\tTag\nnight\t \n")
    (tmp_path / "d.txt").write_text("three")
    paths = [str(tmp_path / "texts"), str(tmp_path / "d.txt")]
    found = vocabularies.read(paths, source_key="en", target_key="de")
    assert found.lines == [b"one", b" two", b"day", b"Tag", b"three"]
    assert found.note == ("5 line(s) in 3 file(s), 'a.txt', 'c.tsv', 'd.txt'; left out: with NUL bytes: 1 ('b.bin')")
    assert vocabularies.read(paths, "*.txt").lines == [b"one", b" two", b"three"]


def test_some_lines_at_random():
    lines = [b"%d" % number for number in range(100)]
    chosen = vocabularies.choose(lines, 10, seed=1)
    assert chosen == sorted(chosen, key=int) == vocabularies.choose(lines, 10, seed=1)
    assert chosen != vocabularies.choose(lines, 10) and len({*chosen}) == 10
    assert vocabularies.choose(lines, 0) == vocabularies.choose(lines, 100) == lines


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: vocabularies.train([b"a"], 259),
            "`size` must be above 259, the ids that every model has. Received: 259",
        ),
        (
            lambda: vocabularies.train([b"a b"], 9000),
            "`size` .* Please set it to a value <= .* Received: 9000 and 0.9995",
        ),
        (
            lambda: vocabularies.train([b"abcdefgh"], 262),
            "smaller than required_chars. 262 vs 268. Received: 262 and 0",
        ),
        (lambda: vocabularies.train([b"a"], 300, "word"), "`model_type` must be one of unigram, bpe. Received: 'word'"),
        (lambda: vocabularies.train([b"a"], 300, coverage=1.5), "`coverage` must be from 0.9 to 1. Received: 1.5"),
        (lambda: vocabularies.choose([b"a"], -1), "`sentences` must not be negative, .* Received: -1 and 0"),
        (lambda: vocabularies.choose([b"a"], 0, 5), "`seed` must be 0 where `sentences` is 0, .* Received: 5"),
        (lambda: vocabularies.read(["none"]), "`input` must name an existing folder or file. Received: 'none'"),
        (lambda: vocabularies.read([""]), "`input` must be a path. Received: ''"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_files_and_flags_that_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("\n \n")
    (tmp_path / "c.bin").write_bytes(b"\0")
    path = str(tmp_path / "a.txt")
    for arguments, message in (
        (([path], "*.txt"), "`pattern` must be '.' where `input` names no folder. Received: '.*txt'"),
        (([path], "*", "en"), "`source_key` must be 'source' where no file has keys or columns. Received: 'en'"),
        (([str(tmp_path / "b.txt")],), "`input` must hold text. Received: .*b.txt, with 0 line"),
        (([str(tmp_path / "c.bin")],), "must name files of text that can be read. Received: '.*c.bin', with NUL bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            vocabularies.read(*arguments)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ValueError, match="takes the package sentencepiece, which the extra `sentencepiece` installs"):
        vocabularies.train([b"a"], 300)

"""Labelled texts: files of each kind, their parts and labels, and every fault by file and line."""

import csv
import json
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from trainer.data import datasets as data
from trainer.data.corpora import labelled_split, tfds_sets

ROWS = [("good", "pos"), ('say "no",\nnever', "neg"), ("tab\there", "pos"), ("ünï", "neg"), ("", "pos"), ("bad", "neg")]
NAME = {"name": "labelled_text"}


def _write(file, rows=ROWS, header=("text", "label")):
    if file.suffix == ".jsonl":
        file.write_text("\n\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows))
        return str(file)
    with file.open("w", newline="", encoding="utf-8-sig") as stream:  # With a byte order mark, as spreadsheets write.
        csv.writer(stream, "excel-tab" if file.suffix == ".tsv" else "excel").writerows([header, *rows])
    return str(file)


def _texts(documents):
    labels = [documents.label_names[label] for label in documents.labels]
    return [*zip((text.decode() for text in documents.documents), labels, strict=True)]


@pytest.fixture(params=["jsonl", "csv", "tsv"])
def suffix(request):
    return request.param


def test_a_file_to_train_on_and_one_to_validate_on(tmp_path, suffix):
    train = _write(tmp_path / f"train.{suffix}")
    validation = _write(tmp_path / f"validation.{suffix}", ROWS[:2])
    corpus = data.load_corpus({**NAME, "path": train, "validation_path": validation})
    assert _texts(corpus.train) == ROWS
    assert _texts(corpus.validation) == ROWS[:2]
    assert corpus.train.label_names == corpus.validation.label_names == ("neg", "pos")
    assert corpus.train.size == "6 examples of 35 bytes"
    assert corpus.notes == (
        f"Of the texts of {train}, 1 are empty: the model sees a boundary alone.",
        f"To validate on: {validation}.",
    )
    again = data.load_corpus({**NAME, "path": train, "validation_path": validation})
    assert again.train.fingerprint == corpus.train.fingerprint != corpus.validation.fingerprint
    other = data.load_corpus({**NAME, "path": train, "validation_path": validation, "labels": ("pos", "neg")})
    assert _texts(other.train) == ROWS
    assert other.train.fingerprint != corpus.train.fingerprint


def test_a_fraction_of_each_label_is_for_validation(tmp_path):
    rows = [(f"text {number}", number % 3) for number in range(60)] + [("only one of its kind", 10)]
    config = {**NAME, "path": _write(tmp_path / "all.jsonl", rows), "validation_fraction": 0.2}
    corpus = data.load_corpus(config)
    assert corpus.train.label_names == ("0", "1", "2", "10")  # Sorted by value.
    assert [(corpus.validation.labels == label).sum() for label in range(4)] == [4, 4, 4, 0]
    both = [*_texts(corpus.train), *_texts(corpus.validation)]
    assert sorted(both) == sorted((text, str(label)) for text, label in rows)
    (tmp_path / "all.jsonl").unlink()
    _write(tmp_path / "all.jsonl", rows[::-1])
    assert sorted(_texts(data.load_corpus(config).validation)) == sorted(_texts(corpus.validation))


def test_pairs_and_other_keys(tmp_path):
    rows = [("a", "b", "same"), ("c", "", "other")]
    path = _write(tmp_path / "pairs.csv", rows, ("one", "two", "is"))
    keys = {"text_key": "one", "pair_key": "two", "label_key": "is"}
    corpus = data.load_corpus({**NAME, **keys, "path": path, "validation_path": path})
    assert [*corpus.train.documents] == [b"a", b"c"]
    assert [*corpus.train.pairs] == [b"b", b""]
    assert corpus.train.size == "2 examples of 2 bytes and 1 bytes"
    single = data.load_corpus({**NAME, **keys, "pair_key": "", "path": path, "validation_path": path})
    assert single.train.pairs is None
    assert single.train.fingerprint != corpus.train.fingerprint


def test_what_is_scored(tmp_path):
    path, other = _write(tmp_path / "a.jsonl", ROWS * 3), _write(tmp_path / "b.jsonl", ROWS[:3])
    saved = {**NAME, "path": path, "validation_fraction": 0.3, "labels": ("neg", "pos")}
    for fields, overrides, name, count in (
        ({}, [], f"the validation documents of {path}", 6),
        ({"path": other}, ["path"], f"all of {other}", 3),
        ({"validation_path": other}, ["validation_path"], f"all of {other}", 3),
        ({"validation_path": other}, [], f"the validation documents {other}", 3),
        ({"path": other, "validation_fraction": 0.5}, ["path", "validation_fraction"], "the validation documents", 1),
    ):
        scored = data.load_scored({**saved, **fields}, overrides)
        assert (scored.name[: len(name)], len(scored.documents)) == (name, count)
    with pytest.raises(ValueError, match=r"path and config.data.validation_path must not both be given"):
        data.load_scored({**saved, "validation_path": other}, ["path", "validation_path"])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.txt", "text", r"config.data.path must name a file that ends in .jsonl, .csv, .tsv. Received: '.*a.txt'"),
        ("a.csv", "", "a.csv, line 1: the first line must have a column 'text', once. Received: nothing"),
        ("a.csv", "text,label,text\n", "line 1: the first line must have a column 'text', once. Received: 'text', "),
        ("a.csv", "text,label\n", "config.data.path must name a file with at least one labelled text. .* without any"),
        (
            "a.csv",
            'text,label\n"a\nb",1\n\nc\n',
            "line 5: a line must have as many fields as the first, 2. Received: 1",
        ),
        (
            "a.csv",
            'text,label\n"a" b,1\n',
            "line 2: fields must be quoted as the module csv does it. Received: ',' exp",
        ),
        ("a.tsv", 'text\tlabel\n"a\t1\n', "line 2: fields must be quoted .* Received: unexpected end of data"),
        ("a.tsv", "text\tlabel\na\t\n", "line 2: the label 'label' must be a string or an integer, not empty. .*: ''"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{', "a.jsonl, line 2: a line must be a JSON object. Received: "),
        ("a.jsonl", "[1]", "line 1: a line must be a JSON object. Received: it is no object but a list"),
        ("a.jsonl", '{"label": 1}', "line 1: a line must have the key 'text'. Received: 'label'"),
        ("a.jsonl", '{"text": null, "label": 1}', "line 1: 'text' must be a string. Received: None"),
        ("a.jsonl", '{"text": "a", "label": true}', "the label 'label' must be a string or an integer, .*: True"),
        ("a.jsonl", '{"text": "a", "label": 0.5}', "the label 'label' must be a string or an integer, .*: 0.5"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}', r"line 1: 'text' must be text. Received: '\\ud800'"),
        ("a.jsonl", b'\n{"text": "\xff', r"line 2: text must be UTF-8. Received: b'\\xff'"),
        ("a.jsonl", "\n\n\0", "line 3: there must be no NUL byte. Received: one"),
        ("a.jsonl", '{"text": "a", "label": 1}', "config.data.validation_path must be given where no label has two"),
        ("a.jsonl", None, "config.data.path must name an existing file. Received: "),
    ],
)
def test_files_that_are_refused(tmp_path, file, content, message):
    if content is not None:
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        data.load_corpus({**NAME, "path": str(tmp_path / file)})


def test_an_unknown_label_is_named_with_its_line(tmp_path):
    path, other = _write(tmp_path / "a.csv"), _write(tmp_path / "b.csv", [("x", "pos"), ("y", "new")])
    with pytest.raises(ValueError, match=r"Labels must be .*'neg', 'pos'. Received: 'new' in .*b.csv, line 3"):
        data.load_corpus({**NAME, "path": path, "validation_path": other})
    with pytest.raises(ValueError, match=r"'good', 'bad'. Received: 'pos' in .*a.csv, line 2"):
        data.load_corpus({**NAME, "path": path, "validation_path": other, "labels": ("good", "bad")})


def test_a_text_longer_than_the_limit_of_the_module_csv(tmp_path):
    limit = csv.field_size_limit()
    long = "a" * (limit + 1)
    path = _write(tmp_path / "a.csv", [(long, 0), ("b", 1)])
    assert data.load_corpus({**NAME, "path": path, "validation_path": path}).train.documents[0] == long.encode()
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("fields", [{}, {"path": "a.csv", "tfds_name": "imdb_reviews"}])
def test_a_file_or_a_data_set(fields):
    with pytest.raises(ValueError, match=r"config.data.path or config.data.tfds_name must be given .* not both"):
        data.load_corpus({**NAME, **fields})


def test_a_data_set():
    config = {**NAME, "tfds_name": "imdb_reviews", "tfds_validation_split": "test"}
    with tfds.testing.mock_data(num_examples=8):
        corpus = data.load_corpus(config)
        other = data.load_corpus({**config, "labels": ("pos", "neg")})
        split = data.load_corpus({**config, "tfds_validation_split": "", "validation_fraction": 0.3})
        scored = data.load_scored(config)
        with pytest.raises(ValueError, match=r"must be those of the data set, 'neg', 'pos', in any order. Received: "):
            data.load_corpus({**config, "labels": ("neg", "neutral")})
        with pytest.raises(ValueError, match=r"config.data.text_key must name a text feature, one of: text. .*'label'"):
            data.load_corpus({**config, "text_key": "label"})
        with pytest.raises(ValueError, match=r"config.data.label_key must name .* one of: text, label. Received: 'is'"):
            data.load_corpus({**config, "label_key": "is"})
    assert (len(corpus.train), corpus.train.label_names) == (8, ("neg", "pos"))
    assert corpus.name.startswith("imdb_reviews/plain_text")
    assert _texts(other.train) == _texts(corpus.train)
    assert (other.train.labels == 1 - corpus.train.labels).all()
    assert len(split.train) + len(split.validation) == 8
    assert scored.documents.fingerprint == corpus.validation.fingerprint


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("labels", [("x",), ("x", "y")])
def test_equal_texts_are_in_one_part_whatever_their_labels(tmp_path, fraction, labels):
    texts = ["same"] * 50 + [f"{i}" for i in range(50)]
    path = _write(tmp_path / "a.jsonl", [(text, labels[i % len(labels)]) for i, text in enumerate(texts)])
    corpus = data.load_corpus({**NAME, "path": path, "validation_fraction": fraction})
    assert {*corpus.train.documents}.isdisjoint({*corpus.validation.documents})
    assert len(corpus.train) + len(corpus.validation) == 100
    assert np.bincount(corpus.validation.labels).tolist() == [round(fraction * 100 / len(labels))] * len(labels)


def test_a_label_of_few_texts_is_in_both_parts_if_it_can_be():
    keys = [b"a"] * 6 + [b"b"] * 4 + [b"c"] * 3
    labels = ["two texts"] * 10 + ["one text"] * 3
    assert labelled_split.choose(keys, labels, 0.1) == [6, 7, 8, 9]
    assert labelled_split.choose([b"a", b"a", b"b", b"b"], ["1", "2", "1", "2"], 0.1) == [0, 1]
    assert labelled_split.choose([b"a", b"a", b"b"], ["1", "2", "1"], 0.1) == [2]


def test_labels_of_very_many_digits(tmp_path):
    """Python reads no integers of more than 4,300 digits."""
    long = "1" * 5000
    path = _write(tmp_path / "a.csv", [("a", long), ("b", 9), ("c", 10)])
    corpus = data.load_corpus({**NAME, "path": path, "validation_path": path})
    assert corpus.train.label_names == ("10", long, "9")
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "label": {long}}}\n')
    with pytest.raises(ValueError, match=r"a.jsonl, line 1: a line must be a JSON object. Received: .*4300 digits"):
        data.load_corpus({**NAME, "path": str(tmp_path / "a.jsonl")})


@pytest.mark.parametrize("label", [b"", b"\xff"])
def test_labels_of_a_data_set_that_are_no_text(monkeypatch, label):
    rows = [{"text": b"a", "label": b"good"}, {"text": b"b", "label": label}]
    monkeypatch.setattr(tfds_sets, "examples", lambda *arguments: iter(rows))
    message = rf"must be UTF-8 text, not empty. Received: {re.escape(repr(label))} in example 1 of .* train$"
    with tfds.testing.mock_data(), pytest.raises(ValueError, match=message):
        data.load_corpus({**NAME, "tfds_name": "imdb_reviews"})

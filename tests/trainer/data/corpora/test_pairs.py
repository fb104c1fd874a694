"""Pairs of texts: files of each kind, folders, data sets, the split, and every fault by file and line."""

import json

import pytest

from tests.trainer.data.corpora.tiny_translations import TinyTranslations
from trainer.data import corpora
from trainer.data import datasets as data
from trainer.data.corpora import pairs
from trainer.data.pair_documents import PairDocuments

ROWS = [("good day", "guten Tag"), ('say "no"', "sag „nein“"), ("two\nlines", "zwei\nZeilen"), (" blank", "leer ")]
NAME = {"name": "pairs"}


def _write(file, rows=ROWS, header=("source", "target")):
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows))
        return str(file)
    lines = ("\t".join('"' + text.replace('"', '""') + '"' for text in row) for row in (header, *rows))
    file.write_text("\n".join(lines), encoding="utf-8-sig")
    return str(file)


def _pairs(documents):
    texts = zip(documents.sources, documents.targets, strict=True)
    return [(source.decode(), target.decode()) for source, target in texts]


@pytest.mark.parametrize("suffix", ["jsonl", "tsv"])
def test_a_file_to_train_on_and_one_to_validate_on(tmp_path, suffix):
    train = _write(tmp_path / f"train.{suffix}", [*ROWS, ("", "x"), ("y", " \n")])
    validation = _write(tmp_path / f"validation.{suffix}", [*ROWS[:1], ("new", "neu")])
    corpus = data.load_corpus({**NAME, "path": train, "validation_path": validation})
    assert _pairs(corpus.train) == ROWS
    assert _pairs(corpus.validation) == [*ROWS[:1], ("new", "neu")]
    assert corpus.train.size == "4 pairs of 31 bytes and 39 bytes"
    assert corpus.notes == (
        f"{train}: 1 file(s), 'train.{suffix}', with 4 pair(s); left out: source or target without text: 2.",
        f"To validate on: {validation}: 1 file(s), 'validation.{suffix}', with 2 pair(s).",
        "Of the pairs to validate on, 1 have a source that is also trained on.",
    )
    again = data.load_corpus({**NAME, "path": train, "validation_path": validation})
    assert again.train.fingerprint == corpus.train.fingerprint != corpus.validation.fingerprint


def test_a_pair_is_more_than_its_texts():
    """The fingerprint knows which text is the source of which."""
    same = [PairDocuments.from_pairs(rows).fingerprint for rows in ([(b"a", b"b")], [(b"b", b"a")], [(b"ab", b"")])]
    assert len({*same}) == 3


def test_a_folder_with_files_of_several_kinds(tmp_path):
    (tmp_path / "b").mkdir()
    _write(tmp_path / "b" / "one.jsonl", ROWS[:2])
    _write(tmp_path / "a.tsv", ROWS[1:3])  # Pairs of records may come twice.
    (tmp_path / "README.md").write_text("no pairs")
    (tmp_path / "c.tsv").touch()
    corpus = data.load_corpus({**NAME, "path": str(tmp_path), "validation_fraction": 0.3})
    assert sorted([*_pairs(corpus.train), *_pairs(corpus.validation)]) == sorted([*ROWS[1:3], *ROWS[:2]])
    assert corpus.notes[0] == (
        f"{tmp_path}: 2 file(s), 'a.tsv', 'b/one.jsonl', with 4 pair(s). Files left out: empty: 1 ('c.tsv'); "
        "no .jsonl, .csv, .tsv, .po, .mo: 1 ('README.md')."
    )
    only = data.load_corpus({**NAME, "path": str(tmp_path), "pattern": "*.jsonl"})
    assert len(only.train) + len(only.validation) == 2


def test_equal_sources_are_in_one_part(tmp_path):
    rows = [(f"source {number // 3}", f"target {number}") for number in range(90)]
    config = {**NAME, "path": _write(tmp_path / "all.tsv", rows), "validation_fraction": 0.2}
    corpus = data.load_corpus(config)
    assert len(corpus.validation) == 18
    assert {*corpus.train.sources}.isdisjoint({*corpus.validation.sources})
    assert sorted([*_pairs(corpus.train), *_pairs(corpus.validation)]) == sorted(rows)
    assert corpus.notes[1] == "To validate on: 18 of the pairs, by a hash of their sources."
    _write(tmp_path / "all.tsv", rows[::-1])
    assert sorted(_pairs(data.load_corpus(config).validation)) == sorted(_pairs(corpus.validation))


def test_what_is_scored(tmp_path):
    path, other = _write(tmp_path / "a.tsv", ROWS), _write(tmp_path / "b.jsonl", ROWS[:3])
    saved = {**NAME, "path": path, "validation_fraction": 0.3}
    for fields, overrides, name, count in (
        ({}, [], f"the validation documents of {path}", 1),
        ({"path": other}, ["path"], f"all of {other}", 3),
        ({"validation_path": other}, ["validation_path"], f"all of {other}", 3),
        ({"validation_path": other}, [], f"the validation documents {other}", 3),
        ({"path": other, "validation_fraction": 0.5}, ["path", "validation_fraction"], "the validation documents", 2),
    ):
        scored = data.load_scored({**saved, **fields}, overrides)
        assert (scored.name[: len(name)], len(scored.documents)) == (name, count)
    with pytest.raises(ValueError, match=r"path and config.data.validation_path must not both be given"):
        data.load_scored({**saved, "validation_path": other}, ["path", "validation_path"])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.txt", "x", "path must name a folder, or a file that ends in .jsonl, .csv, .tsv, .po, .mo. .*a.txt'"),
        ("a.tsv", "", "path must name a file of pairs that can be read. Received: '.*a.tsv', empty"),
        ("a.tsv", "source\tother\n", "line 1: the first line must have a column 'target', once. Received: 'source', "),
        ("a.tsv", "source\ttarget\na\tb\nc\n", "a.tsv, line 3: a line must have as many fields as the first, 2. .*: 1"),
        (
            "a.tsv",
            "source\ttarget\na\t\n",
            "at least one pair of texts. .* with 0 pair.s.; left out: source or target with",
        ),
        ("a.jsonl", '{"source": "a"}', "a.jsonl, line 1: a line must have the key 'target'. Received: 'source'"),
        ("a.jsonl", '{"source": "a", "target": 3}', "a.jsonl, line 1: 'target' must be a string. Received: 3"),
        ("a.jsonl", '{"source": "a", "target": "b"}', "validation_path must be given where there are no two different"),
        ("a.jsonl", None, "config.data.path must name an existing folder or file. Received: .*No such file"),
    ],
)
def test_files_that_are_refused(tmp_path, file, content, message):
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        data.load_corpus({**NAME, "path": str(tmp_path / file)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "config.data.path or config.data.tfds_name must be given for pairs of texts, and not both"),
        ({"path": "a.tsv", "tfds_name": "x"}, "must be given for pairs of texts, and not both. Received: 'a.tsv'"),
        ({"path": "a.tsv", "target_key": "source"}, "target_key must be another key .* Received: 'source' for both"),
    ],
)
def test_fields_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        data.load_corpus({**NAME, **fields})


@pytest.fixture(scope="module")
def tiny_translations(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    TinyTranslations(data_dir=data_dir).download_and_prepare()
    keys = {"source_key": "en", "target_key": "de"}
    return {**NAME, **keys, "tfds_name": "tiny_translations", "data_dir": str(data_dir)}


def test_a_data_set(tiny_translations):
    corpus = data.load_corpus({**tiny_translations, "tfds_validation_split": "test"})
    assert sorted(_pairs(corpus.train)) == sorted((f"text {i}", f"Text {i}") for i in range(20) if i != 1)
    assert sorted(_pairs(corpus.validation)) == [("text 0", "Text 0"), ("text 2", "Text 2")]
    assert corpus.name == "tiny_translations/1.0.0 train"
    assert corpus.notes[0] == ("tiny_translations/1.0.0 train: 19 pair(s); left out: source or target without text: 1.")
    split = data.load_corpus({**tiny_translations, "tfds_validation_split": "", "validation_fraction": 0.2})
    assert (len(split.train), len(split.validation)) == (15, 4)
    swapped = data.load_corpus(
        {**tiny_translations, "source_key": "de", "target_key": "en", "tfds_validation_split": "test"}
    )
    assert sorted(_pairs(swapped.validation)) == [("Text 0", "text 0"), ("Text 2", "text 2")]
    scored = data.load_scored({**tiny_translations, "tfds_train_split": "test"}, ["tfds_train_split"])
    assert (scored.name, len(scored.documents)) == ("all of tiny_translations/1.0.0 test", 2)
    with pytest.raises(ValueError, match=r"config.data.target_key must name a text feature, one of: .*Received: 'fr'"):
        data.load_corpus({**tiny_translations, "target_key": "fr"})
    with pytest.raises(ValueError, match=r"tfds_train_split must hold pairs of texts. Received: 'test.:1.', 0 pair"):
        data.load_corpus({**tiny_translations, "tfds_train_split": "test[:1]"})


def test_a_source_of_ones_own(monkeypatch):
    part = PairDocuments.from_pairs([(b"a", b"b")])
    for train, is_right in ((part, True), (part.sources, False)):
        source = corpora.Source(lambda config, train=train: corpora.Corpus("own", train, part), corpora.TEXT_PAIRS)
        monkeypatch.setitem(corpora.SOURCES, "own", source)
        if is_right:
            assert data.load_corpus({"name": "own"}).train is part
        else:
            message = "of pairs of texts that returns a Corpus of two PairDocuments. .* Documents, PairDocuments"
            with pytest.raises(ValueError, match=message):
                data.load_corpus({"name": "own"})


def test_fields_of_a_run(tmp_path):
    from configs import tiny

    config = tiny.get_config()
    config.data.name = "pairs"
    for path, tfds_name, field, value, message in (
        ("", "", "pattern", "*", "must be given for pairs of texts"),
        ("a.tsv", "", "tfds_train_split", "x", "tfds_train_split` must be 'train': it is for data sets"),
        ("", "wmt", "pattern", "*.po", "`config.data.pattern` must be '.': it is for files"),
        ("a.tsv", "", "source_key", "", "`config.data.source_key` must not be empty"),
        ("a.tsv", "", "source_key", "target", "target_key must be another key"),
    ):
        now = config.copy_and_resolve_references()
        now.data.path, now.data.tfds_name, now.data[field] = path, tfds_name, value
        with pytest.raises(ValueError, match=message):
            pairs.check_fields(now)

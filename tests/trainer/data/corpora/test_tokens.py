"""Ids in files: the same documents from every format, the choice of what to validate on, and what is refused."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.corpora.id_files import DTYPES
from trainer.data.datasets import load_corpus, load_scored

IDS = np.random.default_rng(0).integers(0, 100, 600)
ROWS = IDS.reshape(60, 10)


def write_records(path, records, key="ids"):
    """Writes a TFRecord file of lists of integers."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=record))
            example = tf.train.Example(features=tf.train.Features(feature={key: feature}))
            writer.write(example.SerializeToString())


def config(path, **fields):
    return {"name": "tokens", "path": str(path), "validation_fraction": 0.1, **fields}


def contents(documents):
    """The documents as lists of ids."""
    ids = documents.ids.read(0, len(documents.ids))
    return [part.tolist() for part in np.split(ids, documents.offsets[1:-1])]


def test_one_long_array_in_every_format(tmp_path):
    found = {}
    for dtype in DTYPES:
        np.save(tmp_path / f"{dtype}.npy", IDS.astype(dtype))
        found[f"npy {dtype}"] = load_corpus(config(tmp_path / f"{dtype}.npy"))
        (tmp_path / f"{dtype}.bin").write_bytes(IDS.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
        found[f"bin {dtype}"] = load_corpus(config(tmp_path / f"{dtype}.bin", ids_dtype=dtype))
    np.save(tmp_path / "big_endian.npy", IDS.astype(">u4"))
    found["npy >u4"] = load_corpus(config(tmp_path / "big_endian.npy"))
    for corpus in found.values():
        assert contents(corpus.train) == [IDS[:540].tolist()]
        assert contents(corpus.validation) == [IDS[540:].tolist()]
        assert all(type(array.ids) is np.memmap for array in (*corpus.train.ids.arrays, *corpus.validation.ids.arrays))
    assert len({(corpus.train.fingerprint, corpus.validation.fingerprint) for corpus in found.values()}) == 1
    assert corpus.train.size == "540 ids"
    assert corpus.validation.ids.locate(3)[1] == 543  # The offset in the file.


def test_rows_and_records_are_documents_and_whole_ones_validate(tmp_path):
    for name in ("rows.npy", "part.tfrecord", "records.tfrecord-00000-of-00001"):
        np.save(tmp_path / name, ROWS) if name.endswith("npy") else write_records(tmp_path / name, ROWS)
    parts = [load_corpus(config(tmp_path / name)) for name in ("rows.npy", "part.tfrecord")]
    for corpus in parts:
        train, validation = contents(corpus.train), contents(corpus.validation)
        assert len(validation) == 6
        rows = ROWS.tolist()
        assert sorted(map(rows.index, train + validation)) == list(range(60))
        assert [rows.index(row) for row in train] == sorted(map(rows.index, train))
        assert list(map(rows.index, validation)) != list(range(54, 60))  # By a hash, not the last ones.
    whole = [load_scored(config(tmp_path / name), ["path"]).documents for name in ("rows.npy", "part.tfrecord")]
    assert contents(whole[0]) == rows
    assert whole[0].fingerprint == whole[1].fingerprint
    write_records(tmp_path / "records.tfrecord-00000-of-00001", ROWS, key="tokens")
    other = load_scored(config(tmp_path / "records.tfrecord-00000-of-00001", ids_feature="tokens"), ["path"])
    assert other.documents.fingerprint == whole[0].fingerprint


def test_a_folder_is_all_its_files_by_name(tmp_path):
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "c.npy", IDS[:300])
    np.save(tmp_path / "b" / "a.npy", ROWS[30:50])
    write_records(tmp_path / "d.tfrecord", [IDS[:3].tolist(), IDS[5:6].tolist()])
    (tmp_path / "README.md").write_text("Ids.")
    (tmp_path / ".hidden.npy").write_bytes(b"")
    scored = load_scored(config(tmp_path), ["path"])
    assert contents(scored.documents) == [*ROWS[30:50].tolist(), IDS[:300].tolist(), IDS[:3].tolist(), [IDS[5]]]
    (note,) = scored.notes
    assert "23 document(s) in 3 file(s): 'b/a.npy', 'c.npy', 'd.tfrecord'." in note
    assert "hidden: 1 ('.hidden.npy'); no .npy, .bin or .tfrecord: 1 ('README.md')" in note
    assert contents(load_scored(config(tmp_path, pattern="c*"), ["path"]).documents) == [IDS[:300].tolist()]


def test_files_of_one_document_give_their_ends_and_records_whole_ones(tmp_path):
    np.save(tmp_path / "a.npy", IDS)
    np.save(tmp_path / "b.npy", IDS[:400])
    np.save(tmp_path / "c.npy", ROWS[:20])
    corpus = load_corpus(config(tmp_path))
    train, validation = contents(corpus.train), contents(corpus.validation)
    assert len(validation) in (3, 4)  # The ends of one or two files, and two rows.
    assert [len(document) for document in validation[-2:]] == [10, 10]
    assert sum(map(len, validation[:-2])) == 100  # A tenth of both.
    assert train[0] == IDS[: len(train[0])].tolist()
    assert sum(map(len, train)) + sum(map(len, validation)) == 1200
    whole = load_corpus(config(tmp_path, validation_rule="whole_documents", validation_fraction=0.4))
    assert {len(document) for document in contents(whole.train) + contents(whole.validation)} == {600, 400, 10}


def test_a_validation_path_and_what_is_scored(tmp_path):
    np.save(tmp_path / "train.npy", IDS)
    np.save(tmp_path / "other.npy", IDS[:7])
    fields = config(tmp_path / "train.npy", validation_path=str(tmp_path / "other.npy"))
    corpus = load_corpus(fields)
    assert contents(corpus.train) == [IDS.tolist()]
    assert contents(corpus.validation) == [IDS[:7].tolist()]
    scored = load_scored(fields)
    assert (scored.is_validation, len(scored.documents.ids)) == (True, 7)
    scored = load_scored(fields, ["validation_path"])
    assert (scored.is_validation, len(scored.documents.ids)) == (False, 7)
    scored = load_scored(fields, ["path"])
    assert (scored.is_validation, len(scored.documents.ids)) == (False, 600)
    scored = load_scored(config(tmp_path / "train.npy"))
    assert (scored.is_validation, len(scored.documents.ids)) == (True, 60)
    with pytest.raises(ValueError, match=r"config.data.path and config.data.validation_path must not both be given"):
        load_scored(fields, ["path", "validation_path"])


def _save(array):
    return lambda path: np.save(path, array, allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npy", _save(np.ones(9)), r"NumPy arrays of integers .* Received: 'a.npy' with shape \(9,\) and d"),
        ("a.npy", _save(np.ones((2, 2, 2), int)), r"one axis, or with two .* Received: 'a.npy' with shape \(2, 2, 2\)"),
        ("a.npy", _save(np.array([{}])), r"NumPy arrays of integers that are whole. Received: 'a.npy' \("),
        ("a.npy", _save(np.ones((3, 4), int, order="F")), r"stored row by row .* Received: 'a.npy', stored column by"),
        ("a.npy", _save(np.ones(0, int)), r"files with at least one id. Received: 'a.npy' with none"),
        ("a.npy", lambda path: path.write_bytes(b""), r"at least one id. Received: 'a.npy', which is empty"),
        (
            "a.npy",
            lambda path: path.write_bytes(b"\x93NUMPY\1\0v\0{'descr': ("),
            r"that are whole. Received: 'a.npy' \(",
        ),
        ("a.npy", lambda path: path.write_bytes(b"\x80\x04K\1."), r"that are whole. Received: 'a.npy' \(.*pickle"),
        (
            "a.bin",
            lambda path: path.write_bytes(b"abc"),
            r"of whole numbers of config.data.ids_dtype, uint16. Received",
        ),
        ("a.bin", lambda path: path.write_bytes(b""), r"at least one id. Received: 'a.bin', which is empty"),
        (
            "a.tfrecord",
            lambda path: path.write_bytes(b"abc" * 9),
            r"TFRecord files of tf.train.Example with int64 'ids'",
        ),
        ("a.tfrecord", lambda path: write_records(path, [[1], []]), r"'a.tfrecord', where record 1 has none"),
        ("a.tfrecord", lambda path: write_records(path, [[1]], "x"), r"'a.tfrecord', where record 0 has none"),
        ("a.npy", os.mkfifo, r"regular files. Received: 'a.npy'"),
        ("a.txt", lambda path: path.write_text("1 2"), r"files that end in .npy, .bin or .tfrecord. Received: 'a.txt'"),
    ],
)
def test_files_that_are_refused(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=f"^config.data.path must name .*{message}"):
        load_corpus(config(tmp_path / name, ids_dtype="uint16"))


def test_a_damaged_array_is_refused_at_any_byte_of_its_header(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, IDS.astype(np.uint16))
    whole, rng, refusals = path.read_bytes(), np.random.default_rng(1), []
    for _ in range(120):
        damaged = bytearray(whole)
        damaged[rng.integers(0, 128)] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.3 else damaged)
        try:
            found = load_corpus(config(path))
        except ValueError as error:
            refusals.append(str(error))
        else:  # The byte was one of a blank, say, or another type of the same size.
            assert len(found.train.ids) + len(found.validation.ids) == 600
    assert len(refusals) > 90
    assert all(re.match(r"config\.data(\.path)? must ", refusal) for refusal in refusals)


def test_fields_and_folders_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("text")
    np.save(tmp_path / "one.npy", IDS[:1])
    np.save(tmp_path / "row.npy", ROWS[:1])
    np.save(tmp_path / "a.npy", IDS)
    (tmp_path / "a.bin").write_bytes(b"ab")
    for path, message in [
        ("nothing", r"config.data.path: the folder or file.* must be readable. Received: .*nothing"),
        ("empty", r"config.data.path must name a folder with files of ids .* Left out: none"),
        ("text", r"config.data.path must name a folder .* matches '\*'. Left out: no .npy, .bin or .tfrecord: 1"),
        ("one.npy", r"config.data must leave at least two ids to train on .* Received: 1 and 0 ids"),
        ("row.npy", r"config.data must leave at least two ids .* Received: 10 and 0 ids"),
        ("a.bin", r"config.data.path must name no .bin file unless config.data.ids_dtype says .* one of uint8, .* Rec"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_corpus(config(tmp_path / path))
    with pytest.raises(ValueError, match=r"^config.data.validation_path must name no .bin file unless"):
        load_corpus(config(tmp_path / "a.npy", validation_path=str(tmp_path / "a.bin")))

"""Text of folders and files."""

import errno
import os
import pathlib
import stat

import pytest

from tests.trainer.data.corpora.writing import write_files
from trainer.data import datasets as data


def _text(path, **fields):
    return data.load_corpus({"name": "text", "path": str(path), **fields})


def test_folder_is_parted_by_file(tmp_path):
    files = {f"sub{i % 3}/file{i}.txt": f"text {i} ".encode() * 10 for i in range(30)}
    corpus = _text(write_files(tmp_path / "one", files), validation_fraction=0.2)
    assert sorted([*corpus.train, *corpus.validation]) == sorted(files.values())
    assert corpus.validation.num_bytes == pytest.approx(0.2 * sum(map(len, files.values())), rel=0.15)
    by_path = [content for _, content in sorted(files.items())]
    assert list(corpus.train) == [content for content in by_path if content in set(corpus.train)]
    outside = _text(write_files(tmp_path / "two", files), validation_fraction=0.2)
    assert outside.train.fingerprint == corpus.train.fingerprint
    assert outside.validation.fingerprint == corpus.validation.fingerprint


def test_folder_leaves_out_hidden_empty_and_other_files(tmp_path):
    write_files(
        tmp_path, {"a.txt": b"aa", "b.txt": b"bb", "empty.txt": b"", ".c.txt": b"c", ".git/d.txt": b"d", "e.md": b"ee"}
    )
    corpus = _text(tmp_path, pattern="*.txt", validation_path=str(tmp_path / "e.md"))
    assert (list(corpus.train), list(corpus.validation)) == ([b"aa", b"bb"], [b"ee"])


def test_file_names_need_not_be_utf8(tmp_path):
    for name in (os.fsdecode(b"name \xff"), "other"):
        (tmp_path / name).write_bytes(b"text")
    corpus = _text(tmp_path, validation_fraction=0.5)
    assert corpus.train.num_bytes == corpus.validation.num_bytes == 4


def test_validation_path_is_taken_whole(tmp_path):
    write_files(tmp_path, {"train/a.txt": b"aaa", "train/b.txt": b"bbb", "other.txt": b"ccc"})
    corpus = _text(tmp_path / "train", validation_path=str(tmp_path / "other.txt"))
    assert (list(corpus.train), list(corpus.validation)) == ([b"aaa", b"bbb"], [b"ccc"])
    with pytest.raises(ValueError, match=r"config.data.validation_path must name an existing folder or file"):
        _text(tmp_path / "train", validation_path=str(tmp_path / "missing"))


def test_one_file_is_parted_by_its_tail(tmp_path):
    content = b"".join(b"line %d\n" % i for i in range(1000))
    for path in (write_files(tmp_path, {"one.txt": content}), tmp_path / "one.txt"):
        corpus = _text(path, validation_fraction=0.1)
        assert len(corpus.train) == len(corpus.validation) == 1
        assert corpus.train[0] + corpus.validation[0] == content
        assert corpus.train[0].endswith(b"\n")
        assert len(corpus.validation[0]) == pytest.approx(0.1 * len(content), rel=0.01)


JUNK = {
    "a.zip": b"PK\x03\x04\0\0",
    "b.npy": b"\x93NUMPY\x01\0v\0",
    "c.bin": bytes(range(200, 256)),
    "empty.txt": b"",
    ".git/config": b"[core]",
    ".hidden": b"text",
}
TEXT = {"d.txt": b"some text\n" * 90, "sub/e.txt": b"other text\n" * 90, "sub/f.txt": "\u00e9t\u00e9\n".encode() * 90}


@pytest.fixture
def mixed(tmp_path):
    """A folder of text and of all other kinds of files."""
    root = write_files(tmp_path / "mixed", {**JUNK, **TEXT})
    (root / "gone.txt").symlink_to(root / "nowhere")
    (root / "ring.txt").symlink_to(root / "ring.txt")
    (root / "linked.txt").symlink_to(root / "d.txt")
    (root / "folder").symlink_to(root / "sub")
    os.mkfifo(root / "pipe")
    os.mknod(root / "socket", 0o600 | stat.S_IFSOCK)
    return root


def test_what_is_no_text_is_left_out_and_said(mixed):
    corpus = _text(mixed, validation_path=str(mixed / "d.txt"))
    assert list(corpus.train) == [TEXT["d.txt"], TEXT["d.txt"], TEXT["sub/e.txt"], TEXT["sub/f.txt"]]
    assert corpus.notes == (
        f"{mixed}: 4 document(s): 'd.txt', 'linked.txt', 'sub/e.txt', .... Left out: empty: 1 ('empty.txt'); hidden: 2 "
        "('.git', '.hidden'); link to a folder: 1 ('folder'); link to nowhere: 2 ('gone.txt', 'ring.txt'); no regular "
        "file: 2 ('pipe', 'socket'); not UTF-8 text: 1 ('c.bin'); with NUL bytes: 2 ('a.zip', 'b.npy').",
        f"To validate on: {mixed / 'd.txt'}: 1 document(s): 'd.txt'.",
    )


@pytest.mark.parametrize("fields", [{"any_bytes": True}, {"validation_rule": "whole_documents"}])
def test_any_bytes_if_asked_for(mixed, fields):
    """Also with the older rule, so that a run goes on with the documents that it began with."""
    corpus = _text(mixed, validation_path=str(mixed / "a.zip"), **fields)
    taken = ["a.zip", "b.npy", "c.bin", "d.txt", "d.txt", "sub/e.txt", "sub/f.txt"]
    assert list(corpus.train) == [{**JUNK, **TEXT}[name] for name in taken]
    assert list(corpus.validation) == [JUNK["a.zip"]]


def test_names_that_cannot_be_printed(tmp_path):
    for name in (b"new\nline.txt", b"not utf-8 \xff.txt"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"a line\n" * 20)
    corpus = _text(tmp_path, validation_fraction=0.3)
    assert r"'new\nline.txt', 'not utf-8 \udcff.txt'" in corpus.notes[0]
    assert all(note.isprintable() for note in corpus.notes)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config.data.path must name a folder or a file of text. Received: ''"):
        _text("")
    with pytest.raises(
        ValueError, match=r"config.data.path must name an existing folder or file. Received: '.*gone' \(No such file"
    ):
        _text(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"files that match config.data.pattern. Received: '.*' with no file matching"):
        _text(tmp_path)
    write_files(tmp_path, {"a.txt": b"", "b.txt": b""})
    with pytest.raises(
        ValueError, match=r"must name a folder with text. Received: '.*', of which .*: empty: 2 \('a.txt'"
    ):
        _text(tmp_path)
    with pytest.raises(ValueError, match=r"a file with at least one byte. Received: '.*a.txt', empty"):
        _text(tmp_path / "a.txt")
    write_files(tmp_path, {"a.txt": b"a\0b", "b.txt": b"x"})
    with pytest.raises(
        ValueError,
        match=r"config.data.path must name a file of text; config.data.any_bytes=True takes files of any content. "
        r"Received: '.*a.txt', with NUL bytes",
    ):
        _text(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"folder with text \(config.data.any_bytes=True takes .*with NUL bytes: 1"):
        _text(tmp_path, pattern="a*")
    with pytest.raises(ValueError, match=r"at least two bytes, to train on and to validate on. Received: '.*' with 1"):
        _text(tmp_path / "b.txt", validation_rule="whole_documents")


@pytest.mark.parametrize(("size", "left"), [(1, 0), (20, 0), (60, 1)])
def test_one_byte_to_validate_on_is_refused(tmp_path, size, left):
    (tmp_path / "a.txt").write_bytes(b"x" * size)
    with pytest.raises(
        ValueError,
        match=r"more than one byte to validate on: a larger config.data.validation_fraction, or documents of their own "
        rf"\(config.data.validation_path, .*\)\. Received: {left} of {size} bytes with .*validation_fraction=0.02",
    ):
        _text(tmp_path)
    assert _text(tmp_path, validation_path=str(write_files(tmp_path / "b", {"c": b"ab"}))).validation.num_bytes == 2


def test_a_disk_that_fails_is_no_reason_to_go_on(mixed, monkeypatch):
    def fail(path, *arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pathlib.Path, "open", fail)
    message = r"config.data.path: every file must be readable. Received: '.*a.zip' \(Input/output error\)"
    with pytest.raises(ValueError, match=message):
        _text(mixed)


def test_what_may_not_be_read_is_left_out(mixed, monkeypatch):
    may, walk = pathlib.Path.open, os.walk

    def refuse(path, *arguments, **options):
        if path.name == "d.txt":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return may(path, *arguments, **options)

    def walk_but_for_sub(root, onerror):
        onerror(PermissionError(errno.EACCES, "Permission denied", str(root / "sub")))
        return (found for found in walk(root) if not found[0].endswith("sub"))

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    assert "not readable: 1 ('d.txt')" in _text(mixed, validation_fraction=0.3).notes[0]
    with pytest.raises(ValueError, match=r"must name a file that can be read. Received: '.*d.txt', not readable"):
        _text(mixed / "d.txt")
    monkeypatch.setattr(os, "walk", walk_but_for_sub)
    (mixed / "more.txt").write_bytes(b"a line\n" * 90)
    assert "not readable: 2 ('d.txt', 'sub')" in _text(mixed, validation_fraction=0.3).notes[0]


def test_only_regular_files(mixed):
    with pytest.raises(ValueError, match=r"must name a folder or a regular file. Received: '.*pipe', no regular file"):
        _text(mixed / "pipe")


@pytest.mark.parametrize(
    ("overrides", "scored", "is_validation"),
    [
        ([], "the validation documents of {train}", True),
        (["validation_fraction", "path"], "the validation documents of {train}", True),
        (["path"], "all of {train}", False),
        (["pattern"], "all of {train}", False),
        (["name", "path", "any_bytes"], "all of {train}", False),
    ],
)
def test_what_is_scored(tmp_path, overrides, scored, is_validation):
    train = write_files(tmp_path / "train", TEXT)
    found = data.load_scored({"name": "text", "path": str(train), "validation_fraction": 0.3}, overrides)
    assert found.name == scored.format(train=train)
    assert found.is_validation == is_validation
    assert found.documents.num_bytes < 2000 if is_validation else list(found.documents) == list(TEXT.values())


def test_only_what_is_scored_is_read(tmp_path):
    """The training documents need not exist."""
    write_files(tmp_path, {"own.txt": b"its own", "other.txt": b"o"})
    saved = {"name": "text", "path": str(tmp_path / "gone"), "validation_path": str(tmp_path / "own.txt")}
    for overrides, fields, name, content in (
        ([], {}, "the validation documents {}/own.txt", b"its own"),
        (["path"], {"path": str(tmp_path / "other.txt")}, "all of {}/other.txt", b"o"),
        (["validation_path"], {"validation_path": str(tmp_path / "other.txt")}, "all of {}/other.txt", b"o"),
    ):
        found = data.load_scored({**saved, **fields}, overrides)
        assert (found.name, list(found.documents)) == (name.format(tmp_path), [content])
    with pytest.raises(ValueError, match=r"config.data.path and config.data.validation_path must not both be given"):
        data.load_scored(saved, ["path", "validation_path"])

"""Text of folders and files."""

import errno
import os
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.corpora.writing import write_files
from trainer import input as data
from trainer.corpora import text_files


def _text(path, **fields):
    return data.load_corpus({"name": "text", "path": str(path), **fields})


def test_folder_is_parted_by_file(tmp_path):
    files = {f"sub{i % 3}/file{i}.txt": f"text {i} ".encode() * 10 for i in range(30)}
    corpus = _text(write_files(tmp_path / "one", files), validation_fraction=0.2)
    assert sorted([*corpus.train, *corpus.validation]) == sorted(files.values())
    assert corpus.validation.num_bytes == pytest.approx(0.2 * sum(map(len, files.values())), rel=0.15)
    order = [content for _, content in sorted(files.items())]
    assert list(corpus.train) == [content for content in order if content in set(corpus.train)]
    elsewhere = _text(write_files(tmp_path / "two", files), validation_fraction=0.2)
    assert elsewhere.train.fingerprint == corpus.train.fingerprint
    assert elsewhere.validation.fingerprint == corpus.validation.fingerprint


def test_folder_leaves_out_hidden_empty_and_other_files(tmp_path):
    write_files(
        tmp_path, {"a.txt": b"a", "b.txt": b"b", "empty.txt": b"", ".c.txt": b"c", ".git/d.txt": b"d", "e.md": b"e"}
    )
    corpus = _text(tmp_path, pattern="*.txt")
    assert sorted([*corpus.train, *corpus.validation]) == [b"a", b"b"]


def test_file_names_need_not_be_utf8(tmp_path):
    names = [os.fsdecode(b"name \xff"), "other"]
    for name in names:
        (tmp_path / name).write_bytes(b"text")
    corpus = _text(tmp_path)
    assert len(corpus.train) == len(corpus.validation) == 1


def test_validation_path_is_taken_whole(tmp_path):
    write_files(tmp_path, {"train/a.txt": b"aaa", "train/b.txt": b"bbb", "other.txt": b"ccc"})
    corpus = _text(tmp_path / "train", validation_path=str(tmp_path / "other.txt"))
    assert (list(corpus.train), list(corpus.validation)) == ([b"aaa", b"bbb"], [b"ccc"])
    with pytest.raises(ValueError, match=r"config.data.validation_path must name an existing folder or file"):
        _text(tmp_path / "train", validation_path=str(tmp_path / "missing"))


def test_single_file_is_parted_by_its_tail(tmp_path):
    content = b"".join(b"line %d\n" % i for i in range(1000))
    for path in (write_files(tmp_path, {"one.txt": content}), tmp_path / "one.txt"):
        corpus = _text(path, validation_fraction=0.1)
        assert len(corpus.train) == len(corpus.validation) == 1
        assert corpus.train[0] + corpus.validation[0] == content
        assert corpus.train[0].endswith(b"\n")
        assert len(corpus.validation[0]) == pytest.approx(0.1 * len(content), rel=0.01)


@given(
    st.one_of(st.binary(min_size=1, max_size=60), st.text(min_size=1, max_size=60).map(str.encode)),
    st.floats(0.01, 0.99),
)
@settings(deadline=None, max_examples=200)
def test_tail_is_cut_without_loss(document, fraction):
    head, tail = text_files.cut_tail(document, fraction)
    assert head + tail == document
    assert tail
    assert len(document) == 1 or head


def test_tail_does_not_cut_a_character():
    document = "é€😀".encode() * 50
    for percent in range(1, 100):
        for part in text_files.cut_tail(document, percent / 100):
            part.decode()


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"config.data.path must name a folder or a file of text. Received: ''"):
        _text("")
    with pytest.raises(
        ValueError, match=r"config.data.path must name an existing folder or file. Received: '.*gone' \(No such file"
    ):
        _text(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"files that match config.data.pattern. Received: '.*' with no file matching"):
        _text(tmp_path)
    write_files(tmp_path, {"a.txt": b"", "b.txt": b""})
    with pytest.raises(ValueError, match=r"must name a folder with text. Received: '.*', where all 2 files are empty"):
        _text(tmp_path)
    with pytest.raises(ValueError, match=r"a file with at least one byte. Received: '.*a.txt', which is empty"):
        _text(tmp_path / "a.txt")
    write_files(tmp_path, {"b.txt": b"x"})
    with pytest.raises(ValueError, match=r"at least two bytes, to train on and to validate on. Received: '.*' with 1"):
        _text(tmp_path / "b.txt")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    message = r"config.data.path: every file must be readable. Received: '.*b.txt' \(Permission denied\)"
    with pytest.raises(ValueError, match=message):
        _text(tmp_path / "b.txt")


def test_links_to_nowhere_and_pipes_are_named(tmp_path):
    write_files(tmp_path, {"a.txt": b"text"})
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"every file must be readable. Received: '.*link' \(No such file"):
        _text(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"only regular files are read. Received: '.*pipe'"):
        _text(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_forbidden_files_and_folders_are_named(tmp_path):
    write_files(tmp_path, {"a.txt": b"text", "sub/b.txt": b"text"})
    (tmp_path / "sub").chmod(0)
    with pytest.raises(ValueError, match=r"every folder must be readable. Received: '.*sub' \(Permission denied\)"):
        _text(tmp_path)
    (tmp_path / "sub").chmod(0o700)
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(ValueError, match=r"every file must be readable. Received: '.*a.txt' \(Permission denied\)"):
        _text(tmp_path)

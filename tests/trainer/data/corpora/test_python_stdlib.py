"""The sources of the standard library."""

import errno
import pathlib
import platform
import sysconfig

import pytest

from tests.trainer.data.corpora.writing import write_files
from trainer.data import datasets as data
from trainer.data.corpora import python_stdlib, text_or_binary, validation

SOURCES = {
    "a.py": b"import b\n" * 400,
    "package/__init__.py": b"",
    "package/b.py": "text = 'é'\n".encode() * 30,
    "package/c.py": b"x = 1\n" * 50,
    "package/latin.py": b"# -*- coding: latin-1 -*-\ntext = '\xe9'\n",
    "package/nul.py": b"x = '\0'\n",
    "site-packages/d.py": b"other = 1\n",
    "package/__pycache__/e.py": b"other = 1\n",
    "_sysconfigdata__linux_.py": b"build = '/tmp'\n",
    "data.txt": b"text",
}
TAKEN = ["a.py", "package/b.py", "package/c.py", "package/nul.py"]


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A small standard library instead of the real one."""
    root = write_files(tmp_path / "stdlib", SOURCES)
    (root / "broken.py").symlink_to(root / "gone")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(root)})
    return root


def test_sources_are_taken(sources):
    found = python_stdlib.read_sources(sources)
    assert found.names == TAKEN
    assert found.documents == [SOURCES[name] for name in TAKEN]
    assert found.left_out == {
        "empty": ["package/__init__.py"],
        "link to nowhere": ["broken.py"],
        text_or_binary.NOT_UTF8: ["package/latin.py"],
    }


@pytest.mark.parametrize("files", [{}, {"only.py": b"x = 1\n"}])
def test_sources_are_needed(files, tmp_path):
    (tmp_path / "stdlib").mkdir()
    root = write_files(tmp_path / "stdlib", files)
    with pytest.raises(ValueError, match=rf"needs the sources .* Received: '.*stdlib' with {len(files)}"):
        python_stdlib.read_sources(root)


def test_a_library_in_an_archive_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs the sources .* Received: '.*python.zip', which cannot be read"):
        python_stdlib.read_sources(tmp_path / "python.zip")


def test_a_failing_disk_is_an_error(sources, monkeypatch):
    def fails(self, *args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pathlib.Path, "open", fails)
    with pytest.raises(ValueError, match=r"Received: '.*py', which cannot be read \(Input/output error\)"):
        python_stdlib.read_sources(sources)


def test_the_split_is_that_of_whole_documents(sources, tmp_path):
    corpus = data.load_corpus({"name": "python_stdlib", "validation_fraction": 0.1})
    documents = [SOURCES[name] for name in TAKEN]
    expected = validation.split(
        "any", TAKEN, documents, {"validation_rule": validation.WHOLE_DOCUMENTS, "validation_fraction": 0.1}
    )
    assert [[*corpus.train], [*corpus.validation]] == [[*expected.train], [*expected.validation]]
    assert sorted([*corpus.train, *corpus.validation]) == sorted(documents)
    assert corpus.name == f"Python {platform.python_version()} standard library"
    taken, chosen = corpus.notes
    assert taken.startswith(
        f"{corpus.name}: 4 document(s): 'a.py', 'package/b.py', 'package/c.py', .... Left out: empty: 1 ('"
    )
    assert chosen.startswith("To validate on: ")


def test_the_sources_of_this_python(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    corpus = data.load_corpus({"name": "python_stdlib"})
    assert corpus.train.num_bytes > 5_000_000
    assert 0.01 < corpus.validation.num_bytes / corpus.train.num_bytes < 0.03
    assert not list(tmp_path.iterdir())  # No copy is kept.
    again = data.load_corpus({"name": "python_stdlib"})
    assert again.train.fingerprint == corpus.train.fingerprint
    assert again.validation.fingerprint == corpus.validation.fingerprint

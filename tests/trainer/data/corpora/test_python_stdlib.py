"""The sources of the standard library."""

import os
import pathlib
import platform
import subprocess
import sys
import sysconfig

import pytest
import tensorflow_datasets as tfds

from tests.trainer.data.corpora.writing import write_files
from trainer.data import datasets as data
from trainer.data.corpora import python_stdlib

ROOT = pathlib.Path(__file__).resolve().parents[4]
SOURCES = {
    "a.py": b"import b\n" * 400,
    "package/__init__.py": b"",
    "package/b.py": "text = 'é'\n".encode() * 30,
    "package/c.py": b"x = 1\n" * 50,
    "package/latin.py": b"# -*- coding: latin-1 -*-\ntext = '\xe9'\n",
    "site-packages/d.py": b"other = 1\n",
    "_sysconfigdata__linux_.py": b"build = '/tmp'\n",
    "data.txt": b"text",
}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A small standard library instead of the real one."""
    root = write_files(tmp_path / "stdlib", SOURCES)
    (root / "broken.py").symlink_to(root / "gone")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(root)})
    return root


def test_stdlib_takes_sources(sources):
    assert [name for name, _ in python_stdlib.source_files(sources)] == ["a.py", "package/b.py", "package/c.py"]


def test_stdlib_needs_sources(tmp_path):
    with pytest.raises(ValueError, match=r"needs the sources .* Received: '.*python.zip' with 0 sources"):
        python_stdlib.source_files(tmp_path / "python.zip")


def test_stdlib_is_prepared_once_and_is_the_same_every_time(sources, tmp_path, monkeypatch):
    config = {"name": "python_stdlib", "data_dir": str(tmp_path / "data"), "validation_fraction": 0.1}
    corpus = data.load_corpus(config)
    taken = [SOURCES[name] for name in ("a.py", "package/b.py", "package/c.py")]
    assert sorted([*corpus.train, *corpus.validation]) == sorted(taken)
    assert len(corpus.validation) == 1
    assert platform.python_version() in corpus.name
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["python_stdlib"]
    monkeypatch.setattr(python_stdlib.PythonStdlib, "download_and_prepare", lambda self: pytest.fail("prepared again"))
    again = data.load_corpus(config)
    assert again.train.fingerprint == corpus.train.fingerprint
    assert again.validation.fingerprint == corpus.validation.fingerprint


def test_stdlib_follows_the_sources(sources, tmp_path):
    config = {"name": "python_stdlib", "data_dir": str(tmp_path / "data"), "validation_fraction": 0.1}
    data.load_corpus(config)
    (sources / "package/e.py").write_bytes(b"new = 1\n")
    corpus = data.load_corpus(config)
    assert b"new = 1\n" in [*corpus.train, *corpus.validation]


def test_stdlib_records_the_version(sources, tmp_path):
    builder = python_stdlib.prepared_builder(python_stdlib.make_config(), tmp_path)
    assert builder.info.metadata["python_version"] == platform.python_version()
    assert builder.builder_config.name.startswith(f"cpython_{platform.python_version().replace('.', '_')}")
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 2, "validation": 1}


def test_stdlib_as_a_builder_of_its_own(sources, tmp_path):
    builder = tfds.builder("python_stdlib", data_dir=tmp_path, validation_fraction=0.1)
    builder.download_and_prepare()
    names = {example["name"] for split in builder.as_dataset().values() for example in tfds.as_numpy(split)}
    assert names == {b"a.py", b"package/b.py", b"package/c.py"}


def test_stdlib_when_another_process_is_faster(sources, tmp_path, monkeypatch):
    config = python_stdlib.make_config()
    prepare = python_stdlib.PythonStdlib.download_and_prepare

    def overtaken(self):
        monkeypatch.setattr(python_stdlib.PythonStdlib, "download_and_prepare", prepare)
        python_stdlib.prepared_builder(config, tmp_path)
        prepare(self)

    monkeypatch.setattr(python_stdlib.PythonStdlib, "download_and_prepare", overtaken)
    builder = python_stdlib.prepared_builder(config, tmp_path)
    assert builder.info.splits["train"].num_examples == 2
    assert not list(tmp_path.glob(".preparing-*"))


def test_stdlib_removes_what_killed_processes_left(sources, tmp_path):
    for name, age in (("old", 7200), ("new", 0)):
        folder = tmp_path / f".preparing-{name}"
        folder.mkdir()
        past = folder.stat().st_mtime - age
        os.utime(folder, (past, past))
    python_stdlib.prepared_builder(python_stdlib.make_config(), tmp_path)
    assert [path.name for path in tmp_path.glob(".preparing-*")] == [".preparing-new"]


def test_stdlib_damaged_data_is_refused(sources, tmp_path):
    config = {"name": "python_stdlib", "data_dir": str(tmp_path)}
    data.load_corpus(config)
    (record,) = tmp_path.glob("python_stdlib/*/*/*-train.tfrecord*")
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"config.data.data_dir must hold .* delete the damaged folder. Received: '.*'"
    ):
        data.load_corpus(config)
    record.unlink()
    with pytest.raises(ValueError, match=r"delete the damaged folder"):
        data.load_corpus(config)


def test_stdlib_needs_a_folder_to_write_to(sources, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"config.data.data_dir must be a folder that can be written.* Received: '.*fil"
    ):
        data.load_corpus({"name": "python_stdlib", "data_dir": str(tmp_path / "file")})


def test_default_data_dir(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert python_stdlib.default_data_dir() == pathlib.Path("/cache/reformer_tf")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert python_stdlib.default_data_dir() == pathlib.Path.home() / ".cache" / "reformer_tf"


def test_stdlib_of_this_python_prepared_by_two_processes_at_once(tmp_path):
    config = {"name": "python_stdlib", "data_dir": str(tmp_path)}
    code = (
        "from trainer.data import datasets as data\n"
        "print('imported', flush=True)\n"
        "input()\n"
        f"corpus = data.load_corpus({config})\n"
        "print(corpus.train.fingerprint, corpus.validation.fingerprint, corpus.train.num_bytes)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == "imported\n"
        other.stdin.write("\n")
        other.stdin.flush()
        corpus = data.load_corpus(config)
        output, _ = other.communicate(timeout=120)
    assert other.returncode == 0
    train, validation, size = output.split()
    assert (corpus.train.fingerprint, corpus.validation.fingerprint) == (train, validation)
    assert corpus.train.num_bytes == int(size) > 5_000_000
    assert 0.01 < corpus.validation.num_bytes / corpus.train.num_bytes < 0.03
    assert [path.name for path in tmp_path.iterdir()] == ["python_stdlib"]

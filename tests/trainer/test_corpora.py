"""Where text comes from: folders and files, TFDS data sets, the sources of the standard library."""

import errno
import os
import pathlib
import platform
import subprocess
import sys
import sysconfig

import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import input as data
from trainer.corpora import python_stdlib, text_files
from trainer.corpora.corpus import choose_validation

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _text(path, **fields):
    return data.load_corpus({"name": "text", "path": str(path), **fields})


# The rule that parts train from validation.


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40), st.floats(0.01, 0.9))
@settings(deadline=None)
def test_choosing_keeps_to_the_fraction(sizes, fraction):
    names = [f"file{i}" for i in range(len(sizes))]
    chosen = choose_validation(names, sizes, fraction)
    assert 0 < len(chosen) < len(sizes)
    taken = sum(sizes[i] for i in chosen)
    assert taken <= fraction * sum(sizes) or len(chosen) == 1
    assert chosen == choose_validation(names, sizes, fraction)


def test_choosing_depends_on_names_not_on_places():
    names = [f"file{i}" for i in range(50)]
    chosen = {names[i] for i in choose_validation(names, [10] * 50, 0.2)}
    assert len(chosen) in (9, 10)
    assert chosen == {names[::-1][i] for i in choose_validation(names[::-1], [10] * 50, 0.2)}


def test_choosing_needs_two():
    with pytest.raises(ValueError, match=r"sizes must hold at least two documents. Received: 1"):
        choose_validation(["a"], [3], 0.5)


# Folders and files.


def test_folder_is_parted_by_file(tmp_path):
    files = {f"sub{i % 3}/file{i}.txt": f"text {i} ".encode() * 10 for i in range(30)}
    corpus = _text(_write(tmp_path / "one", files), validation_fraction=0.2)
    assert sorted([*corpus.train, *corpus.validation]) == sorted(files.values())
    assert corpus.validation.num_bytes == pytest.approx(0.2 * sum(map(len, files.values())), rel=0.15)
    order = [content for _, content in sorted(files.items())]
    assert list(corpus.train) == [content for content in order if content in set(corpus.train)]
    elsewhere = _text(_write(tmp_path / "two", files), validation_fraction=0.2)
    assert elsewhere.train.fingerprint == corpus.train.fingerprint
    assert elsewhere.validation.fingerprint == corpus.validation.fingerprint


def test_folder_leaves_out_hidden_empty_and_other_files(tmp_path):
    _write(tmp_path, {"a.txt": b"a", "b.txt": b"b", "empty.txt": b"", ".c.txt": b"c", ".git/d.txt": b"d", "e.md": b"e"})
    corpus = _text(tmp_path, pattern="*.txt")
    assert sorted([*corpus.train, *corpus.validation]) == [b"a", b"b"]


def test_file_names_need_not_be_utf8(tmp_path):
    names = [os.fsdecode(b"name \xff"), "other"]
    for name in names:
        (tmp_path / name).write_bytes(b"text")
    corpus = _text(tmp_path)
    assert len(corpus.train) == len(corpus.validation) == 1


def test_validation_path_is_taken_whole(tmp_path):
    _write(tmp_path, {"train/a.txt": b"aaa", "train/b.txt": b"bbb", "other.txt": b"ccc"})
    corpus = _text(tmp_path / "train", validation_path=str(tmp_path / "other.txt"))
    assert (list(corpus.train), list(corpus.validation)) == ([b"aaa", b"bbb"], [b"ccc"])
    with pytest.raises(ValueError, match=r"config.data.validation_path must name an existing folder or file"):
        _text(tmp_path / "train", validation_path=str(tmp_path / "missing"))


def test_single_file_is_parted_by_its_tail(tmp_path):
    content = b"".join(b"line %d\n" % i for i in range(1000))
    for path in (_write(tmp_path, {"one.txt": content}), tmp_path / "one.txt"):
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
    _write(tmp_path, {"a.txt": b"", "b.txt": b""})
    with pytest.raises(ValueError, match=r"must name a folder with text. Received: '.*', where all 2 files are empty"):
        _text(tmp_path)
    with pytest.raises(ValueError, match=r"a file with at least one byte. Received: '.*a.txt', which is empty"):
        _text(tmp_path / "a.txt")
    _write(tmp_path, {"b.txt": b"x"})
    with pytest.raises(ValueError, match=r"at least two bytes, to train on and to validate on. Received: '.*' with 1"):
        _text(tmp_path / "b.txt")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    message = r"config.data.path: every file must be readable. Received: '.*b.txt' \(Permission denied\)"
    with pytest.raises(ValueError, match=message):
        _text(tmp_path / "b.txt")


def test_links_to_nowhere_and_pipes_are_named(tmp_path):
    _write(tmp_path, {"a.txt": b"text"})
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"every file must be readable. Received: '.*link' \(No such file"):
        _text(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"only regular files are read. Received: '.*pipe'"):
        _text(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_forbidden_files_and_folders_are_named(tmp_path):
    _write(tmp_path, {"a.txt": b"text", "sub/b.txt": b"text"})
    (tmp_path / "sub").chmod(0)
    with pytest.raises(ValueError, match=r"every folder must be readable. Received: '.*sub' \(Permission denied\)"):
        _text(tmp_path)
    (tmp_path / "sub").chmod(0o700)
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(ValueError, match=r"every file must be readable. Received: '.*a.txt' \(Permission denied\)"):
        _text(tmp_path)


# TFDS data sets.


class TinyTexts(tfds.core.GeneratorBasedBuilder):
    """A few texts, to be read as any other TFDS data set."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"body": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"body": f"text {i}" if i != 1 else "", "label": i % 2}


@pytest.fixture(scope="module")
def tiny_texts(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    TinyTexts(data_dir=data_dir).download_and_prepare()
    return {"name": "tfds", "tfds_name": "tiny_texts", "tfds_text_key": "body", "data_dir": str(data_dir)}


def test_tfds_reads_splits(tiny_texts):
    corpus = data.load_corpus({**tiny_texts, "tfds_validation_split": "test"})
    assert sorted(corpus.train) == sorted(f"text {i}".encode() for i in range(40) if i != 1)
    assert sorted(corpus.validation) == [b"text 0", b"text 2"]
    assert corpus.name == "tiny_texts/1.0.0 train"
    again = data.load_corpus({**tiny_texts, "tfds_validation_split": "test"})
    assert again.train.fingerprint == corpus.train.fingerprint


def test_tfds_parts_a_single_split(tiny_texts):
    slices = {"tfds_train_split": "train[:50%]", "tfds_validation_split": "train[50%:]"}
    corpus = data.load_corpus({**tiny_texts, **slices})
    assert len(corpus.train) + len(corpus.validation) == 39
    assert not set(corpus.train) & set(corpus.validation)
    corpus = data.load_corpus({**tiny_texts, "tfds_validation_split": "", "validation_fraction": 0.2})
    assert len(corpus.train) + len(corpus.validation) == 39
    assert 0 < corpus.validation.num_bytes <= 0.2 * (corpus.train.num_bytes + corpus.validation.num_bytes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tfds_name": ""}, "config.data.tfds_name must name a TFDS data set. Received: ''"),
        ({"tfds_name": "no_such_texts"}, "config.data.tfds_name must name a data set that TFDS knows. Received: 'no_"),
        ({"tfds_name": "tiny texts/"}, "config.data.tfds_name must name a data set that TFDS knows. Received: 'tiny "),
        ({"tfds_text_key": "label"}, "config.data.tfds_text_key must name a text feature, one of: body. .*: 'label'"),
        (
            {},
            "config.data.tfds_validation_split must be a split of tiny_texts/1.0.0, .* train.* Received: 'validation'",
        ),
        ({"tfds_train_split": "train[:0]"}, r"config.data.tfds_train_split must .*Received: 'train\[:0\]'"),
        ({"tfds_train_split": "test[1:2]", "tfds_validation_split": ""}, "config.data.tfds_.* Received: "),
    ],
)
def test_tfds_errors(tiny_texts, changes, message):
    with pytest.raises(ValueError, match=message):
        data.load_corpus({**tiny_texts, **changes})


def test_tfds_without_download_needs_prepared_data(tiny_texts, tmp_path):
    with pytest.raises(ValueError, match=r"config.data.tfds_download=False needs a data set that is prepared"):
        data.load_corpus({**tiny_texts, "tfds_download": False, "data_dir": str(tmp_path)})


@pytest.mark.parametrize("name", ["lm1b", "imdb_reviews/plain_text"])
def test_tfds_public_data_sets_by_name(name):
    with tfds.testing.mock_data(num_examples=5):
        corpus = data.load_corpus({"name": "tfds", "tfds_name": name, "tfds_validation_split": "test"})
    assert len(corpus.train) == len(corpus.validation) == 5
    assert corpus.name.startswith(name)
    with (
        tfds.testing.mock_data(num_examples=1),
        pytest.raises(ValueError, match=r"config.data.tfds_validation_split must be given where"),
    ):
        data.load_corpus({"name": "tfds", "tfds_name": name, "tfds_validation_split": ""})


# The sources of the standard library.

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
    """A small standard library in place of the real one."""
    root = _write(tmp_path / "stdlib", SOURCES)
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
    code = (
        "from trainer import input as data\n"
        f"corpus = data.load_corpus({{'name': 'python_stdlib', 'data_dir': {str(tmp_path)!r}}})\n"
        "print(corpus.train.fingerprint, corpus.validation.fingerprint, corpus.train.num_bytes)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    corpus = data.load_corpus({"name": "python_stdlib", "data_dir": str(tmp_path)})
    train, validation, size = outputs[0].split()
    assert (corpus.train.fingerprint, corpus.validation.fingerprint) == (train, validation)
    assert corpus.train.num_bytes == int(size) > 5_000_000
    assert 0.01 < corpus.validation.num_bytes / corpus.train.num_bytes < 0.03
    assert [path.name for path in tmp_path.iterdir()] == ["python_stdlib"]

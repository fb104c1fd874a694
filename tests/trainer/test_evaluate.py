"""The command `trainer.evaluate`: the documents that it scores, and its messages."""

import json

import pytest

from reformer_tf import models
from tests.trainer import command_line, runs, toy
from tests.trainer.data.corpora.writing import write_files
from trainer import exits
from trainer.config import read_config, write_config
from trainer.convert import convert
from trainer.training.evaluation import Evaluation


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def workdir(corpus, tmp_path_factory):
    """A run of a model with new weights, on a corpus."""
    workdir = tmp_path_factory.mktemp("run")
    model = models.ReformerCausalLM(257, 64, 1, 16, 2, 8, 24, ["local"], local_chunk_length=8)
    config = convert(model, workdir)
    config.data.name, config.data.path, config.data.validation_fraction = "text", str(corpus), 0.2
    config.train.batch_size, config.train.sequence_length = 4, 64
    write_config(config, workdir / "config.json")
    return workdir


@pytest.fixture
def free(monkeypatch):
    """Makes evaluations cost nothing."""
    monkeypatch.setattr(Evaluation, "run", lambda evaluation: {"loss": 1.0, "bits_per_byte": 1.0})


def _evaluate(capsys, workdir, *fields):
    code = command_line.run("evaluate", f"--workdir={workdir}", *(f"--config.data.{field}" for field in fields))
    out, err = capsys.readouterr()
    assert code == exits.DONE, err
    return out.splitlines(), json.loads(out.splitlines()[-1])


def test_a_file_is_scored_as_a_whole(workdir, corpus, capsys):
    """Also a file of the run's own corpus."""
    file = corpus / "0.txt"
    (out, numbers), size = _evaluate(capsys, workdir, f"path={file}"), file.stat().st_size
    assert (numbers["bytes"], numbers["tokens"], numbers["documents"]) == (size, size, 1)
    assert numbers["scored"] == f"all of {file}"
    assert out[-3] == f"Scoring all of {file}: {size:,} bytes in 1 document(s)."
    assert out[-2].startswith("loss ")


def test_the_validation_documents_are_scored(workdir, corpus, capsys, free):
    out, numbers = _evaluate(capsys, workdir)
    assert (numbers["scored"], numbers["documents"]) == (f"the validation documents of {corpus}", 2)
    assert out[-3].startswith(f"Scoring {numbers['scored']}: ")
    assert out[-2].startswith("validation loss ")


def test_a_folder_is_scored_without_the_corpus_of_the_run(workdir, tmp_path, capsys, free):
    config = read_config(workdir / "config.json")
    config.data.path = str(tmp_path / "gone")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "checkpoints").symlink_to(workdir / "checkpoints")
    write_config(config, tmp_path / "moved" / "config.json")
    other = write_files(tmp_path / "other", {"a.txt": b"a text", "b.npy": b"\x93NUMPY\0"})
    out, numbers = _evaluate(capsys, tmp_path / "moved", f"path={other}")
    assert numbers["documents"] == 1
    assert out[0] == f"{other}: 1 document(s): 'a.txt'. Left out: with NUL bytes: 1 ('b.npy')."
    assert out[1] == f"Scoring all of {other}: 6 bytes in 1 document(s)."


def test_what_cannot_be_scored(workdir, tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"\0\1")
    for field, message in (
        (f"path={tmp_path / 'a.bin'}", "must name a file of text; config.data.any_bytes=True takes files"),
        (f"path={tmp_path / 'gone'}", "config.data.path must name an existing folder or file"),
        (
            f"data_dir={tmp_path}",
            "`config.data.data_dir` must be '' where `config.data.name` is 'text': it is for 'tfds' or",
        ),
    ):
        assert command_line.run("evaluate", f"--workdir={workdir}", f"--config.data.{field}") == exits.REFUSED
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert message in err


def test_other_validation_documents_than_those_of_the_run(corpus, tmp_path, capsys, monkeypatch, caplog, free):
    toy.make_steps_free(monkeypatch)
    config = toy.make_toy_config(runs.make_config(corpus))
    config.train.steps = 2
    runs.run(config, tmp_path / "run")
    config = read_config(tmp_path / "run" / "config.json")
    _evaluate(capsys, tmp_path / "run")
    assert "validation documents are not those" not in caplog.text
    _evaluate(capsys, tmp_path / "run", "validation_fraction=0.4")
    assert "validation documents are not those" not in caplog.text
    config.data.path = str(corpus / "0.txt")
    write_config(config, tmp_path / "run" / "config.json")
    _evaluate(capsys, tmp_path / "run")
    assert "The validation documents are not those that the run in" in caplog.text

"""Damaged or edited files of a run: they are named in one sentence, or passed over."""

import json
import shutil
import struct

import pytest

from tests.trainer import runs
from trainer import exits
from trainer.results import final_report
from trainer.storage import checkpoint_file, metrics, report_file
from trainer.training import loop
from trainer.training.run import Run

_REPORT = {"step": 2, "made": ["export"], "export": "run/export/1", "export_difference": 1e-7, "bits_per_byte": 5.0}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))
    config.train.steps = 2
    return config


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """A folder with the files of a run that is done."""
    workdir = tmp_path_factory.mktemp("finished")
    run = Run(config, workdir)
    run.step = 2
    run.record("train", loss=5.0)
    run.record("validation", loss=5.5, bits_per_byte=7.0)
    run.files.save(run.step)
    run.close()
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def _start(config, workdir):
    run, stop = Run(config, workdir), exits.StopRequest()
    try:
        return loop.train(run, stop) or final_report.close(run, stop)
    finally:
        run.close()


def test_a_finished_run_says_that_it_is_done(config, workdir, capsys):
    before = runs.lines(workdir), runs.checkpoint_files(workdir)
    assert _start(config, workdir) == exits.DONE
    out = capsys.readouterr().out
    assert (
        "The run is done: all its 2 steps were made before, and nothing was trained. A larger `config.train.st" in out
    )
    assert (runs.lines(workdir), runs.checkpoint_files(workdir)) == before


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        "[" * 100_000,
        json.dumps({"step": 2}),
        json.dumps({**_REPORT, "step": "2"}),
        json.dumps({**_REPORT, "made": 3}),
        json.dumps({**_REPORT, "made": ["report"]}),
        json.dumps({**_REPORT, "export_difference": "small"}),
    ],
)
def test_a_damaged_report(config, workdir, content):
    config = config.copy_and_resolve_references()
    config.export = True
    (workdir / "report.json").write_text(content)
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    message = "The final report of a run must be as it was written. Received: .*report.json: .* makes the report again"
    with pytest.raises(ValueError, match=message):
        _start(config, workdir)
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_a_whole_report_is_shown_again(config, workdir, capsys):
    config = config.copy_and_resolve_references()
    config.export = True
    (workdir / "report.json").write_text(json.dumps(_REPORT))
    assert _start(config, workdir) == exits.DONE
    assert "Export run/export/1: loaded by" in capsys.readouterr().out
    assert report_file.read(workdir / "none.json") is None


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"split": "train", "step": "2"}',
        b'{"split": "train", "step": 1.5}',
        b'{"split": "train", "step": true}',
        b'{"split": ["train"], "step": 1}',
        b'{"split": "validation", "step": 1, "loss": "0.1"}',
        b'{"split": "validation", "step": 1, "loss": NaN}',
        b'{"split": "validation", "step": 1, "loss": ' + b"9" * 4000 + b"}",
        b"",
    ],
)
def test_a_damaged_line_of_the_metrics_is_left_out_and_named(finished, tmp_path, line, caplog):
    content = (finished / "metrics.jsonl").read_bytes()
    first, rest = content.split(b"\n", 1)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\n".join([first, line, rest]))
    assert set(metrics.validation_costs(metrics.read_records(path))) == {2}
    assert "metrics.jsonl has 1 damaged line(s), which are left out; the first is line 2" in caplog.text
    metrics.Metrics(path, step=2).close()
    assert path.read_bytes() == content


def test_a_run_with_a_damaged_line_of_the_metrics(config, workdir, caplog):
    content = (workdir / "metrics.jsonl").read_bytes()
    (workdir / "metrics.jsonl").write_bytes(b'{"split": "train", "step": "1"}\n' + content)
    assert _start(config, workdir) == exits.DONE
    assert "metrics.jsonl has 1 damaged line(s), which are left out; the first is line 1" in caplog.text
    assert (workdir / "metrics.jsonl").read_bytes() == content


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"3",
        b"[]",
        b'{"__metadata__": {"sha256": "0"}, "a": {"data_offsets": [0, 99999999999999999999], "shape": [1]}}',
    ],
)
def test_a_damaged_header_of_a_checkpoint(header, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(checkpoint_file.DamagedCheckpoint):
        checkpoint_file.read(path)


@pytest.mark.parametrize("length", [2**62, 2**64 - 1])
def test_a_header_that_is_said_to_be_longer_than_the_file(length, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(checkpoint_file.DamagedCheckpoint):
        checkpoint_file.read(path)

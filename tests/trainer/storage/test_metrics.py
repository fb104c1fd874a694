"""The metrics file over kills and restarts."""

import json
import os

import pytest

from trainer.storage.metrics import Metrics, read_records, validation_costs


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    for step in (1, 2, 3):
        metrics.write("train", step, loss=float(step))
    metrics.write("validation", 3, loss=0.5)
    metrics.write("train", 4, loss=4.0)
    metrics.close()
    return path


def test_what_is_written(path):
    assert _lines(path)[2:4] == [
        {"split": "train", "step": 3, "loss": 3.0},
        {"split": "validation", "step": 3, "loss": 0.5},
    ]


def test_later_steps_are_dropped_and_written_again(path):
    metrics = Metrics(path, step=2)
    assert [record["step"] for record in _lines(path)] == [1, 2]
    metrics.write("train", 3, loss=3.0)
    metrics.close()
    assert [record["step"] for record in _lines(path)] == [1, 2, 3]


def test_a_fresh_start_drops_all_lines(path):
    Metrics(path, step=0).close()
    assert path.read_bytes() == b""


def test_nothing_to_drop_leaves_the_file_unchanged(path):
    before = path.stat().st_ino
    Metrics(path, step=4).close()
    assert path.stat().st_ino == before


def test_a_torn_line_is_dropped_wherever_it_is_cut(path):
    content = path.read_bytes()
    last = content.splitlines(keepends=True)[-1]
    for length in range(1, len(last)):
        path.write_bytes(content[: len(content) - len(last) + length])
        metrics = Metrics(path, step=4)
        assert not metrics.has("train", 4)
        metrics.write("train", 4, loss=4.0)
        metrics.close()
        assert path.read_bytes() == content


def test_a_repeated_line_is_dropped(path):
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[-1])
    Metrics(path, step=4).close()
    assert path.read_bytes() == content


def test_find(path):
    metrics = Metrics(path, step=4)
    assert metrics.find("validation", 3) == {"split": "validation", "step": 3, "loss": 0.5}
    assert metrics.find("validation", 4) is None
    assert metrics.find("validation", 5) is None
    metrics.close()


def test_numbers_that_are_not_finite_stay_json(path):
    metrics = Metrics(path, step=4)
    metrics.write("validation", 4, loss=float("nan"), bits_per_byte=float("inf"), tokens_seen=None)
    metrics.close()
    expected = {"split": "validation", "step": 4, "loss": None, "bits_per_byte": None, "tokens_seen": None}
    assert _lines(path)[-1] == expected


def test_the_disk_takes_a_line_in_parts(path, monkeypatch):
    write = os.write
    metrics = Metrics(path, step=4)
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    metrics.write("train", 5, loss=5.0)
    monkeypatch.undo()
    metrics.close()
    assert _lines(path)[-1] == {"split": "train", "step": 5, "loss": 5.0}


def test_a_line_that_does_not_fit_is_an_error_and_goes_with_the_next_start(path, monkeypatch):
    before = path.read_bytes()
    write = os.write
    metrics = Metrics(path, step=4)
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]) if len(data) > 40 else 0)
    with pytest.raises(OSError, match="The file takes nothing more"):
        metrics.write("train", 5, loss=5.0)
    monkeypatch.undo()
    metrics.close()
    assert len(path.read_bytes()) > len(before)
    assert [record["step"] for record in read_records(path)] == [1, 2, 3, 3, 4]
    Metrics(path, step=5).close()
    assert path.read_bytes() == before


def test_reading_changes_nothing(path, tmp_path):
    content = path.read_bytes()[:-3]
    path.write_bytes(content)
    records = read_records(path)
    assert [(record["split"], record["step"]) for record in records[2:]] == [("train", 3), ("validation", 3)]
    assert path.read_bytes() == content
    assert read_records(tmp_path / "none.jsonl") == []
    assert not (tmp_path / "none.jsonl").exists()


def test_validation_losses_are_those_that_are_finite():
    records = [
        {"split": "train", "step": 1, "loss": 0.1},
        {"split": "validation", "step": 2, "loss": 0.5},
        {"split": "validation", "step": 4, "loss": None},
        {"split": "ablation", "step": 4, "loss": 0.2},
    ]
    assert validation_costs(records) == {2: 0.5}


def test_validation_losses_are_of_the_examples_of_the_newest():
    sizes = {2: 100, 4: 10, 6: 10}
    records = [{"split": "validation", "step": step, "loss": step / 10, "tokens": sizes[step]} for step in sizes]
    assert validation_costs(records) == {4: 0.4, 6: 0.6}
    assert validation_costs([]) == {}

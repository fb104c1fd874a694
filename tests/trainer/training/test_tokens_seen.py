"""Time, tokens and epochs in the metrics lines: exact across restarts and for older runs."""

import itertools
import json
import shutil
import time

import numpy as np
import pytest

from tests.trainer import events, runs, toy
from trainer import exits
from trainer.data import datasets, tokenizers
from trainer.data.examples import Examples
from trainer.storage import checkpoint_file
from trainer.training.tokens_seen import count_tokens

NEW_FIELDS = ("tokens_seen", "epoch", "wall_time")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A config whose batches have different numbers of tokens: each document ends in a short example."""
    config = toy.make_config_with_corpus(tmp_path_factory)
    config.data.layout = "padded"
    config.train.sequence_length = 60
    return config


@pytest.fixture(autouse=True)
def _steps_that_are_free(monkeypatch):
    toy.make_steps_free(monkeypatch)


def _records(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def restarted(config, tmp_path_factory):
    """A run that was stopped after step 7 and went on: the times around the stop, and its folder then and now."""
    workdir, before = tmp_path_factory.mktemp("run") / "run", tmp_path_factory.mktemp("before") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        toy.make_steps_free(monkeypatch)
        times = [time.time()]
        assert runs.run(config, workdir, runs.StopAfter(10)) == exits.STOPPED
        times.append(time.time())
        shutil.copytree(workdir, before)
        assert runs.run(config, workdir) == exits.DONE
    return times, before, workdir


def _examples(config):
    return datasets.cut_examples(config, tokenizers.BYTES, datasets.load_corpus(config.data).train)


def test_every_line_says_where_it_stands(config, restarted):
    times, before, workdir = restarted
    examples, settings = _examples(config), config.train
    batches = datasets.train_dataset(examples, settings.batch_size, settings.seed)
    counts = [int(mask.numpy()[:, 1:].sum()) for _, mask in itertools.islice(batches, settings.steps)]
    assert len(set(counts)) >= 3, "the batches must differ"
    records = _records(workdir)
    assert {record["split"] for record in records} == {"train", "validation"}
    for record in records:
        assert record["tokens_seen"] == sum(counts[: record["step"]])
        assert record["epoch"] == record["step"] * 4 / len(examples)
    found = [record["wall_time"] for record in records]
    assert found == sorted(found)
    assert times[0] - 0.001 <= found[0]
    first = len(_records(before))
    assert found[first - 1] <= times[1] + 0.001
    assert times[1] - 0.001 <= found[first] <= time.time()


def test_tensorboard_has_the_times_of_the_lines(restarted):
    _, _, workdir = restarted
    for split in ("train", "validation"):
        points = events.points(workdir / "tensorboard" / split, "loss")
        expected = [record for record in _records(workdir) if record["split"] == split]
        assert [(when, step) for when, step, _ in points] == [(line["wall_time"], line["step"]) for line in expected]
    (shown,) = events.read(workdir / "tensorboard").Tensors("config")
    assert json.loads(events.text(shown)) == json.loads((workdir / "config.json").read_text())


@pytest.mark.parametrize("updates", [7, 5])
def test_a_run_of_before_goes_on(config, restarted, tmp_path, updates):
    """Its count follows from the sequence of the examples, unless it skipped steps."""
    _, before, after = restarted
    workdir = tmp_path / "run"
    shutil.copytree(before, workdir)
    path = workdir / "checkpoints" / "step-00000007.safetensors"
    arrays, description = checkpoint_file.read(path)
    del description["tokens_seen"]
    # The steps of a toy make no updates.
    checkpoint_file.write(path, {**arrays, "optimizer/0": np.array(updates, arrays["optimizer/0"].dtype)}, description)
    old = [{name: value for name, value in record.items() if name not in NEW_FIELDS} for record in _records(before)]
    content = "".join(json.dumps(record) + "\n" for record in old)
    (workdir / "metrics.jsonl").write_text(content)
    saved = json.loads((workdir / "config.json").read_text())
    for field in ("checkpoint_minutes", "eval_examples"):
        del saved["train"][field]
    (workdir / "config.json").write_text(json.dumps(saved))
    assert runs.run(config, workdir) == exits.DONE
    assert (workdir / "metrics.jsonl").read_text().startswith(content)
    lines, expected = runs.lines(workdir), runs.lines(after)
    assert [(line["split"], line["step"], line["loss"]) for line in lines] == [
        (line["split"], line["step"], line["loss"]) for line in expected
    ]
    new = [line["tokens_seen"] for line in lines[len(old) :]]
    assert new == [line["tokens_seen"] if updates == 7 else None for line in expected[len(old) :]]
    assert lines[len(old) :][0]["epoch"] == expected[len(old)]["epoch"]


def test_the_tokens_of_several_epochs_are_counted_from_the_sequence():
    examples = Examples([bytes(range(size)) for size in (3, 9, 4, 11)], 5, "padded")
    batches = [
        mask.numpy() for _, mask in itertools.islice(datasets.train_dataset(examples, 2, seed=3), 3 * len(examples))
    ]
    for steps in range(len(batches)):
        expected = sum(int(mask[:, 1:].sum()) for mask in batches[:steps])
        assert count_tokens(examples, 2 * steps, seed=3) == expected

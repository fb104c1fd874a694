"""The final report of a run, and the commands that work on a finished run."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import events, runs
from trainer import evaluate, exits
from trainer.config import read_config
from trainer.data import datasets, documents, tokenizers
from trainer.model import build_model, load_model
from trainer.results import exporting, final_report, saved_model_check
from trainer.results.ablation import output_weights, without_attention
from trainer.storage.workdir import Workdir
from trainer.tasks import text_sample
from trainer.training import loop
from trainer.training.run import Run


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"), "lsh")
    config.export = config.report = True
    config.train.steps = 8
    config.sample.prompt, config.sample.tokens = "abc", 8
    return config


def _run(config, workdir):
    run, stop = Run(config, workdir), exits.StopRequest()
    try:
        return loop.train(run, stop) or final_report.close(run, stop)
    finally:
        run.close()


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    assert _run(config, workdir) == exits.DONE
    return workdir


def test_report(config, workdir):
    report = json.loads((workdir / "report.json").read_text())
    (validation,) = [r for r in runs.lines(workdir) if r["split"] == "validation" and r["step"] == 8]
    (ablation,) = [r for r in runs.lines(workdir) if r["split"] == final_report.ABLATION]
    assert report["step"] == 8
    assert report["bits_per_byte"] == validation["bits_per_byte"]
    assert report["bits_per_byte_no_attention"] == ablation["bits_per_byte"] != validation["bits_per_byte"]
    assert report["entropy_order_0"] > report["entropy_order_1"] > 0
    assert report["export_difference"] <= 1e-5
    assert (workdir / "sample.txt").read_text() == "abc" + report["sample"]
    assert sorted(path.name for path in (workdir / "export").iterdir()) == ["1"]
    for split in ("train", "validation", final_report.ABLATION):
        assert list((workdir / "tensorboard" / split).glob("events.out.tfevents.*"))
    (shown,) = events.read(workdir / "tensorboard").Tensors("sample")
    assert (shown.step, events.text(shown)) == (8, f"    abc{report['sample']}".replace("\n", "\n    "))


def test_a_second_start_only_prints_the_report(config, workdir, capsys):
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file() and "tfevents" not in path.name}
    assert _run(config, workdir) == exits.DONE
    after = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file() and "tfevents" not in path.name}
    assert after == before
    assert "model with all attention outputs set to zero" in capsys.readouterr().out


def test_the_export_says_how_it_was_trained(config, workdir):
    card = json.loads((workdir / "export" / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["training"]["step"] == 8
    assert card["training"]["examples_seen"] == 8 * config.train.batch_size
    assert config.data.path in card["training"]["corpus"]
    assert card["training"]["config"] == json.loads((workdir / "config.json").read_text())
    (validation,) = [r for r in runs.lines(workdir) if r["split"] == "validation" and r["step"] == 8]
    assert card["metrics"]["validation"]["bits_per_byte"] == validation["bits_per_byte"]
    assert card["metrics"]["train"]["step"] == 8
    assert sorted(card["signatures"]) == ["embed", "generate", "predict", "score", "score_ids"]


def test_killed_while_making_the_report(config, workdir, tmp_path, monkeypatch):
    """The export is complete here; `tests/export/test_versions.py` has exports that are killed."""
    monkeypatch.setattr(
        exporting, "export_model", lambda *arguments: shutil.copytree(workdir / "export", arguments[-1]) / "1"
    )
    monkeypatch.setattr(saved_model_check, "largest_difference", lambda *_: 1e-7)
    killed = tmp_path / "killed"
    shutil.copytree(workdir, killed)
    lines = runs.lines(killed)
    content = (killed / "metrics.jsonl").read_bytes()
    (killed / "metrics.jsonl").write_bytes(content[:-10])  # In the line of the ablation.
    (killed / "report.json").unlink()
    shutil.rmtree(killed / "export")
    assert _run(config, killed) == exits.DONE
    assert runs.lines(killed) == lines
    assert [path.name for path in (killed / "export").iterdir()] == ["1"]
    reports = [json.loads((folder / "report.json").read_text()) for folder in (killed, workdir)]
    for name in ("export", "export_difference"):
        assert reports[0].pop(name) != reports[1].pop(name)
    assert reports[0] == reports[1]


def test_validation_counts_every_byte_once(config, workdir):
    (record,) = [r for r in runs.lines(workdir) if r["split"] == "validation" and r["step"] == 8]
    run = Run(config, workdir)
    run.close()
    assert record["bytes"] == run.corpus.validation.num_bytes
    assert record["tokens"] == len(run.corpus.validation.ids) - 1


def test_evaluate_gives_the_same_figures(config, workdir):
    config = read_config(workdir / "config.json")
    numbers = evaluate.evaluate(config, Workdir(workdir))
    (record,) = [r for r in runs.lines(workdir) if r["split"] == "validation" and r["step"] == 8]
    assert numbers == {name: value for name, value in record.items() if name in numbers}
    assert {*numbers} == {"step", "loss", "bits_per_byte", "accuracy", "tokens", "bytes"}


def test_evaluate_on_some_examples(config, workdir):
    """The result equals the sum over exactly these examples, one by one."""
    config = read_config(workdir / "config.json")
    config.train.eval_examples, config.train.batch_size = 3, 2  # The last batch is not full.
    numbers = evaluate.evaluate(config, Workdir(workdir))
    model, _ = load_model(config, Workdir(workdir))
    examples = datasets.cut_examples(config, tokenizers.BYTES, datasets.load_corpus(config.data).validation)
    assert len(examples) > 6
    nats, byte_nats, targets = 0.0, 0.0, []
    for index in (0, len(examples) // 3, 2 * len(examples) // 3):
        ids, mask = examples[index]
        losses = model.token_losses(ids[None], mask=mask[None]).numpy()[0]
        nats += losses[mask[1:]].sum()
        byte_nats += losses[mask[1:] & (ids[1:] != documents.BOUNDARY)].sum()
        targets += ids[1:][mask[1:]].tolist()
    byte_count = sum(target != documents.BOUNDARY for target in targets)
    assert (numbers["tokens"], numbers["bytes"]) == (len(targets), byte_count)
    np.testing.assert_allclose(numbers["loss"], nats / len(targets), rtol=1e-5)
    np.testing.assert_allclose(numbers["bits_per_byte"], byte_nats / byte_count / np.log(2), rtol=1e-5)


def test_evaluate_with_another_number_of_rounds(workdir):
    config = read_config(workdir / "config.json")
    config.model.num_hashes = 2
    numbers = evaluate.evaluate(config, Workdir(workdir))
    assert np.isfinite(numbers["loss"])


def test_a_loaded_model_has_the_weights_of_the_run(config, workdir):
    model, step = load_model(config, Workdir(workdir))
    run = Run(config, workdir)
    run.close()
    assert step == 8
    for weight, other in zip(model.weights, run.model.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy())


def test_loading_from_a_folder_without_checkpoints(config, tmp_path):
    with pytest.raises(ValueError, match=f"`workdir` must hold a checkpoint. Received: {tmp_path}"):
        load_model(config, Workdir(tmp_path))


def test_without_attention(config):
    model = build_model(config)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    ids = tf.constant(rng.integers(0, 257, [1, 20]).astype(np.int32))
    changed = tf.concat([ids[:, :10], (ids[:, 10:11] + 1) % 257, ids[:, 11:]], axis=1)
    before = model(ids).numpy()
    assert [weight.path.rsplit("/", 1)[1] for weight in output_weights(model)] == ["output"]
    with without_attention(model):
        # No token attends to another one any more.
        np.testing.assert_allclose(model(changed)[:, 11:], model(ids)[:, 11:], atol=1e-5)
        assert np.abs(model(changed)[:, 10] - model(ids)[:, 10]).max() > 1e-3
    np.testing.assert_array_equal(model(ids).numpy(), before)
    assert np.abs(model(changed)[:, 11:] - before[:, 11:]).max() > 1e-3


def test_sample_is_decided_by_its_seed(config, workdir):
    model, _ = load_model(config, Workdir(workdir))
    texts = [text_sample.continue_text(model, "ab", 12, 1.0, seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]

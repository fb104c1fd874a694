"""What every task can do: go on bit for bit, train alike on several devices, report, export, and be saved by Keras."""

import json
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import clusters, runs
from tests.trainer.tasks import cases
from trainer import evaluate, exits, tasks
from trainer.config import read_config
from trainer.data import datasets
from trainer.model import load_model
from trainer.results import final_report
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.workdir import Workdir
from trainer.training import loop
from trainer.training.run import Run

# All that is tested here is tested of the language model elsewhere, too; the classification of pairs does more than
# that of single texts, and ids differ from text mostly in what is read.
QUICK = ("masked_language_model", "classification of pairs")
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in cases.CASES]


def test_every_task_has_a_case():
    assert {name.split()[0] for name in cases.CASES} == {*tasks.TASKS}


@pytest.mark.parametrize("name", cases.CASES)
def test_a_compiled_step_knows_its_shapes(name, tmp_path):
    config = cases.make_config(name, tmp_path)
    task = tasks.from_config(config)
    examples = task.train_examples(config, datasets.load_corpus(config.data).train)
    dataset = datasets.train_dataset(examples, config.train.batch_size)
    assert dataset.element_spec == task.signature(config)


@pytest.fixture(scope="module", params=NAMES)
def config(request, tmp_path_factory):
    return cases.make_config(request.param, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def programs():
    return runs.Programs()


@pytest.fixture(scope="module")
def undisturbed(config, programs, tmp_path_factory):
    """A run with its report and export."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    run, stop = programs.start(config, workdir), exits.StopRequest()
    try:
        assert (loop.train(run, stop) or final_report.close(run, stop)) == exits.DONE
    finally:
        run.close()
    return workdir


def test_the_report_and_the_export(config, undisturbed):
    """Making the report has loaded the export in a process with TensorFlow alone."""
    report, task = json.loads((undisturbed / "report.json").read_text()), tasks.from_config(config)
    assert report["export_difference"] <= 1e-5
    assert {*task.references, task.measure, f"{task.measure}_no_attention"} <= {*report}
    assert all(np.isfinite(report[name]) for name in (*task.references, task.measure))
    assert report["sample"]


def test_it_goes_on_bit_for_bit(config, programs, undisturbed, tmp_path):
    assert programs.run(config, tmp_path, runs.StopAfter(3)) == exits.STOPPED
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == 3
    assert programs.run(config, tmp_path) == exits.DONE
    alone = [line for line in runs.lines(undisturbed) if line["split"] != final_report.ABLATION]
    assert runs.lines(tmp_path) == alone
    state, expected = (Checkpoints(folder / "checkpoints").newest()[0] for folder in (tmp_path, undisturbed))
    assert state.keys() == expected.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_evaluate_gives_the_same_figures(undisturbed):
    numbers = evaluate.evaluate(read_config(undisturbed / "config.json"), Workdir(undisturbed))
    (record,) = [line for line in runs.lines(undisturbed) if line["split"] == "validation"]
    assert numbers == {name: value for name, value in record.items() if name in numbers}
    assert {"loss", "tokens"} < {*numbers}


def test_the_batch_size_of_an_evaluation_changes_nothing(undisturbed):
    config = read_config(undisturbed / "config.json")
    expected = evaluate.evaluate(config, Workdir(undisturbed))
    config.train.batch_size = 3  # The last batch is filled up.
    numbers = evaluate.evaluate(config, Workdir(undisturbed))
    assert numbers == {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()}


def test_two_replicas_equal_one_device(config, undisturbed, tmp_path):
    """Losses, counts and metrics; with dropout, which follows the rows."""
    mirrored = config.copy_and_resolve_references()
    mirrored.strategy, mirrored.logical_devices = "mirrored", 2
    assert runs.run(mirrored, tmp_path) == exits.DONE
    alone = [line for line in runs.lines(undisturbed) if line["split"] != final_report.ABLATION]
    for found, expected in zip(runs.lines(tmp_path), alone, strict=True):
        assert found == {k: v if isinstance(v, str) else pytest.approx(v, rel=1e-4) for k, v in expected.items()}


def test_keras_saves_and_loads_the_model(undisturbed, tmp_path):
    config = read_config(undisturbed / "config.json")
    model, _ = load_model(config, Workdir(undisturbed))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    run = Run(config, undisturbed, dry=True)
    batch, task = run.validation_examples().gather(tf.range(2, dtype=tf.int64)), run.task
    run.close()
    expected = task.losses(model, batch, training=False)
    for name, value in task.losses(loaded, batch, training=False).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.CASES)
def test_killed_and_started_again(name, tmp_path):
    config = cases.make_config(name, tmp_path)
    config.train.steps, config.train.log_every, config.export, config.report = 12, 1, False, False
    path = clusters.write_config(tmp_path, config)
    clusters.run(path, tmp_path / "alone")
    process = clusters.start(path, tmp_path / "killed")
    metrics = tmp_path / "killed" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    clusters.run(path, tmp_path / "killed")
    runs.assert_same(tmp_path / "killed", tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.CASES)
def test_two_workers_equal_one_device(name, tmp_path):
    path = clusters.write_config(tmp_path, cases.make_config(name, tmp_path))
    clusters.run(path, tmp_path / "one")
    clusters.run(path, tmp_path / "two", workers=2)
    for found, expected in zip(runs.lines(tmp_path / "two"), runs.lines(tmp_path / "one"), strict=True):
        assert found == {k: v if isinstance(v, str) else pytest.approx(v, rel=1e-4) for k, v in expected.items()}

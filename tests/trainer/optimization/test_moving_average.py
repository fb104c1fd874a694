"""The moving average of the weights: its values, and its use in evaluations and exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from tests.trainer import runs
from tests.trainer.training.test_step import _batch, _Bigrams, _optimizer_config
from trainer import exits, model
from trainer.config import as_dict
from trainer.evaluate import evaluate
from trainer.optimization import optimizer
from trainer.optimization.moving_average import MovingAverage
from trainer.results import final_report
from trainer.storage import checkpoint_file, named_variables
from trainer.storage.workdir import Workdir
from trainer.training.run import Run
from trainer.training.step import TrainStep

MOMENTUM = 0.7
EMBEDDINGS = "TokenEmbedding/embeddings"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))
    config.optimizer.ema_momentum = MOMENTUM
    config.train.keep_checkpoints = 20
    config.train.checkpoint_every = 1
    config.train.steps = 6
    return config


@pytest.fixture(scope="module")
def programs():
    return runs.Programs()


@pytest.fixture(scope="module")
def undisturbed(config, programs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert programs.run(config, workdir) == exits.DONE
    return workdir


def _checkpoint(workdir, step):
    return checkpoint_file.read(workdir / "checkpoints" / f"step-{step:08d}.safetensors")[0]


def _expected_average(values):
    """Computes the average after the last of these values of a variable."""
    average = values[0].astype(np.float64)
    for value in values[1:]:
        average = MOMENTUM * average + (1.0 - MOMENTUM) * value
    return average


@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
@pytest.mark.parametrize("replicas", [1, 2])
def test_it_follows_the_updates(mirrored_strategy, name, replicas):
    strategy = mirrored_strategy if replicas == 2 else tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        table = _Bigrams()
        table.scale = table.add_weight((257,), "ones", name="scale")
        inner = table.token_losses
        table.token_losses = lambda ids, **options: inner(ids, **options) * tf.gather(table.scale.value, ids[:, 1:])
        settings = _optimizer_config(name=name, weight_decay=0.1, ema_momentum=MOMENTUM)
        slots = optimizer.make_optimizer(settings, 10, table.trainable_variables)
    averages = slots.average.variables
    step = TrainStep(table, slots, strategy, clip_norm=1.0)
    values = []
    for number in range(5):
        ids, mask = _batch(number)
        dataset = tf.data.Dataset.from_tensors((ids, mask)).unbatch().batch(4)
        batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
        step(batch, tf.constant([0, number]))
        values.append([variable.numpy() for variable in table.trainable_variables])
        for average, source in zip(averages, zip(*values, strict=True), strict=True):
            np.testing.assert_allclose(average.numpy(), _expected_average(source), rtol=1e-5, atol=1e-7)
            for part in strategy.experimental_local_results(average.value):
                np.testing.assert_array_equal(part.numpy(), average.numpy())
    assert np.abs(averages[0].numpy() - values[-1][0]).max() > 1e-4
    assert len(slots.variables) == len(
        optimizer.make_optimizer(
            _optimizer_config(name=name), 10, [keras.Variable(tf.ones([257, 257])), keras.Variable(tf.ones([257]))]
        ).variables
    )


def test_a_skipped_step_leaves_it_unchanged():
    table = _Bigrams()
    slots = optimizer.make_optimizer(_optimizer_config(ema_momentum=MOMENTUM), 10, table.trainable_variables)
    step = TrainStep(table, slots, tf.distribute.get_strategy())
    ids, mask = _batch(0)
    assert bool(step((ids, mask), tf.constant([0, 0])).applied)
    before = slots.average.variables[0].numpy()
    good = table.table.numpy()
    table.table.assign(np.where(np.arange(257) == 7, np.inf, good))
    assert not bool(step((ids, mask), tf.constant([0, 1])).applied)
    np.testing.assert_array_equal(slots.average.variables[0].numpy(), before)


@pytest.mark.parametrize("replicas", [1, 2])
def test_in_place_and_back(mirrored_strategy, replicas):
    strategy = mirrored_strategy if replicas == 2 else tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        variables = [keras.Variable(np.full([2, 3], value, "float32")) for value in (1.0, 2.0)]
        average = MovingAverage(variables, MOMENTUM)
    for variable, value in zip(variables, average.variables, strict=True):
        value.assign(variable.value * 10.0)

    def parts(keras_variables):
        parts = [part for v in keras_variables for part in strategy.experimental_local_results(v.value)]
        assert {part.shape for part in parts} == {(2, 3)}
        assert len(parts) == 2 * replicas
        return [sorted({*part.numpy().ravel().tolist()}) for part in parts]

    def leave():
        with average.in_place():
            inside.extend([parts(variables), parts(average.variables)])
            raise exits.Stopped

    inside: list = []
    before = [parts(variables), parts(average.variables)]
    with pytest.raises(exits.Stopped):
        leave()
    assert inside == before[::-1]
    assert [parts(variables), parts(average.variables)] == before
    assert before[0] == [[1.0]] * replicas + [[2.0]] * replicas


def test_checkpoints_hold_both_by_name(config, undisturbed):
    checkpoints = [_checkpoint(undisturbed, step) for step in range(1, 7)]
    names = [name for name in checkpoints[0] if name.startswith("average/")]
    trained = models.ReformerCausalLM(**as_dict(config.model)).trainable_variables
    assert len(names) == len(trained)
    assert f"average/{EMBEDDINGS}" in names
    for name in names:
        values = [arrays["model/" + name.removeprefix("average/")] for arrays in checkpoints]
        np.testing.assert_allclose(checkpoints[-1][name], _expected_average(values), rtol=1e-5, atol=1e-7, err_msg=name)


def test_training_is_as_without(config, undisturbed, tmp_path):
    plain = config.copy_and_resolve_references()
    plain.optimizer.ema_momentum, plain.train.eval_every = 0.0, -1
    runs.run(plain, tmp_path / "plain")
    train, others = ([x for x in runs.lines(d) if x["split"] == "train"] for d in (undisturbed, tmp_path / "plain"))
    assert train == others
    arrays, averaged = _checkpoint(tmp_path / "plain", 6), _checkpoint(undisturbed, 6)
    for name, value in arrays.items():
        np.testing.assert_array_equal(averaged[name], value, err_msg=name)


def test_a_run_that_stops_in_an_evaluation_goes_on_bit_for_bit(config, programs, undisturbed, tmp_path):
    early = config.copy_and_resolve_references()
    early.train.eval_every = 3
    early.train.checkpoint_every = 6  # The checkpoint of step 3 is written after the evaluation was stopped.
    # Looks at the request: three for the steps, then one in the evaluation at step 3.
    assert programs.run(early, tmp_path, runs.StopAfter(3)) == exits.STOPPED
    assert max(Workdir(tmp_path).checkpoints().steps()) == 3
    assert programs.run(early, tmp_path) == exits.DONE
    later = [line for line in runs.lines(tmp_path) if (line["split"], line["step"]) != ("validation", 3)]
    assert later == runs.lines(undisturbed)
    for step in (3, 6):
        arrays, expected = _checkpoint(tmp_path, step), _checkpoint(undisturbed, step)
        assert set(arrays) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(arrays[name], expected[name], err_msg=name)


def test_what_is_evaluated_and_loaded_is_the_average(config, undisturbed):
    (line,) = [line for line in runs.lines(undisturbed) if line["split"] == "validation"]
    workdir = Workdir(undisturbed)
    assert evaluate(config, workdir)["loss"] == pytest.approx(line["loss"], rel=1e-6)
    arrays = _checkpoint(undisturbed, 6)
    averages = named_variables.named_variables(model.load_model(config, workdir)[0])
    raw = config.copy_and_resolve_references()
    raw.optimizer.ema_momentum = 0.0
    assert evaluate(raw, workdir)["loss"] != pytest.approx(line["loss"], rel=1e-4)
    weights = named_variables.named_variables(model.load_model(raw, workdir)[0])
    for name, value in arrays.items():
        if name.startswith("average/"):
            source = "model/" + name.removeprefix("average/")
            np.testing.assert_array_equal(averages[source].numpy(), value)
            np.testing.assert_array_equal(weights[source].numpy(), arrays[source])


def test_the_final_report_is_of_the_average(config, undisturbed, tmp_path, monkeypatch):
    seen = []

    def make_report(run):
        arrays = {name: variable.numpy() for name, variable in named_variables.named_variables(run.model).items()}
        seen.append(arrays[f"model/{EMBEDDINGS}"])
        return {"made": []}

    monkeypatch.setattr(final_report, "_make_report", make_report)
    report = config.copy_and_resolve_references()
    report.report = True
    run = Run(report, undisturbed)
    final_report.close(run, exits.StopRequest())
    run.close()
    np.testing.assert_array_equal(seen[0], _checkpoint(undisturbed, 6)[f"average/{EMBEDDINGS}"])


def test_it_may_begin_and_end_within_a_run(config, tmp_path):
    changing = config.copy_and_resolve_references()
    changing.train.eval_every = -1
    for steps, momentum in ((2, 0.0), (4, MOMENTUM)):
        changing.train.steps, changing.optimizer.ema_momentum = steps, momentum
        assert runs.run(changing, tmp_path) == exits.DONE
    assert not named_variables.averages(_checkpoint(tmp_path, 2))
    values = [_checkpoint(tmp_path, step)[f"model/{EMBEDDINGS}"] for step in (2, 3, 4)]
    average = _checkpoint(tmp_path, 4)[f"average/{EMBEDDINGS}"]
    np.testing.assert_allclose(average, _expected_average(values), rtol=1e-5, atol=1e-7)
    changing.optimizer.ema_momentum = 0.0
    run = Run(changing, tmp_path)
    run.close()
    assert run.step == 4
    embeddings = named_variables.named_variables(run.model)[f"model/{EMBEDDINGS}"]
    np.testing.assert_array_equal(embeddings.numpy(), values[-1])


def test_it_begins_with_the_weights(config, tmp_path):
    """The average at step 0 equals the weights, so that the checkpoint is a usable model too."""
    run = Run(config, tmp_path)
    run.files.save(run.step)
    run.close()
    arrays = _checkpoint(tmp_path, 0)
    averages = named_variables.averages(arrays)
    assert averages
    for name, value in averages.items():
        np.testing.assert_array_equal(arrays["model/" + name.removeprefix("average/")], value)

"""The loss scale of float16: its rule, its use in a step, and runs with it."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import runs
from trainer import config_checks, exits
from trainer.optimization import loss_scale, optimizer
from trainer.optimization.loss_scale import LossScale
from trainer.storage import checkpoint_file
from trainer.training.step import TrainStep


def test_it_halves_and_doubles():
    scale = LossScale(8.0, growth_steps=3)
    values = []
    for good in (True, True, True, True, True, False, True, True, True, False, False, False, False, False, False):
        scale.count_good_step() if good else scale.halve()
        values.append(scale.value)
    assert values == [8, 8, 16, 16, 16, 8, 8, 8, 16, 8, 4, 2, 1, 1, 1]


def test_it_does_not_grow_without_end():
    scale = LossScale(loss_scale.GREATEST / 2, growth_steps=1)
    for _ in range(3):
        scale.count_good_step()
    assert scale.value == loss_scale.GREATEST


def test_its_state_is_all_there_is():
    scale, other = LossScale(8.0, growth_steps=3), LossScale(2.0, growth_steps=3)
    scale.count_good_step()
    scale.count_good_step()
    other.restore(scale.state())
    other.count_good_step()
    assert other.value == 16


@pytest.mark.parametrize("value", [0.0, 0.5, 3.0, 2.0**25, -2.0, float("inf"), float("nan")])
def test_what_is_no_scale(value):
    assert not loss_scale.is_scale(value)
    assert loss_scale.is_scale(1.0)
    assert loss_scale.is_scale(loss_scale.GREATEST)


class _SGD(optimizer.TakesReducedGradients, keras.optimizers.SGD):
    pass


class _HalfBigrams(keras.Model):
    """A table of logits by the previous token, with a gradient in float16."""

    def __init__(self):
        super().__init__()
        self.table = self.add_weight((257, 257), "zeros", name="table")

    def token_losses(self, ids, mask=None, training=False, seed=None):
        logits = tf.cast(tf.gather(tf.cast(self.table, tf.float16), ids[:, :-1]), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits)
        return losses * tf.cast(mask[:, 1:], losses.dtype)


def _make_step(strategy):
    with strategy.scope():
        model = _HalfBigrams()
        slots = _SGD(learning_rate=1.0)
        slots.build(model.trainable_variables)
    table = np.zeros([257, 257], np.float32)
    table[3, 3] = 100.0  # Sure of 3 after 3: a row of threes has no gradient at all.
    model.table.assign(table)
    return model, TrainStep(model, slots, strategy, clip_norm=0.0)


def _batch(strategy, ids):
    dataset = tf.data.Dataset.from_tensors((ids, np.ones_like(ids, bool))).unbatch().batch(len(ids))
    return next(iter(strategy.experimental_distribute_dataset(dataset)))


@pytest.mark.parametrize("overflowing_row", [0, 1])
def test_an_overflow_in_one_replica_is_seen_by_all(mirrored_strategy, overflowing_row):
    model, step = _make_step(mirrored_strategy)
    ids = np.full([2, 5], 3, np.int32)
    ids[overflowing_row] = [7, 8, 9, 10, 11]
    batch, seed = _batch(mirrored_strategy, ids), tf.constant([0, 0])
    before = model.table.numpy()
    result = step(batch, seed, tf.constant(2.0**24))
    assert np.isfinite(float(result.loss))
    assert not np.isfinite(float(result.gradient_norm))
    assert not bool(result.applied)
    for copy in mirrored_strategy.experimental_local_results(model.table.value):
        np.testing.assert_array_equal(copy, before)
    result = step(batch, seed, tf.constant(2.0**10))
    assert bool(result.applied)
    after = [copy.numpy() for copy in mirrored_strategy.experimental_local_results(model.table.value)]
    np.testing.assert_array_equal(after[0], after[1])
    assert not np.array_equal(after[0], before)


def test_the_scale_keeps_small_gradients_and_changes_nothing_else():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    ids = np.random.default_rng(0).integers(1, 257, [8, 513]).astype(np.int32)
    sure = np.zeros([257, 257], np.float32)
    sure[:, 0] = 10.0  # All other tokens are unlikely, so that their gradient is small where they are no target.
    unlikely = 1 / (np.exp(10.0) + 256)
    found = []
    for scale in (None, 2.0**15):
        model, step = _make_step(strategy)
        model.table.assign(sure)
        result = step(_batch(strategy, ids), tf.constant([0, 0]), scale and tf.constant(scale))
        found.append((float(result.loss), float(result.gradient_norm), sure - model.table.numpy()))
    (loss, norm, plain), (scaled_loss, scaled_norm, scaled) = found
    assert scaled_loss == pytest.approx(loss, rel=1e-6)
    assert scaled_norm == pytest.approx(norm, rel=1e-2)
    # A step of size 1 subtracts the gradient: of a token that never is the target, its probability over the targets.
    counts = np.bincount(ids[:, :-1].ravel(), minlength=257)
    exact = np.broadcast_to(counts[:, None] * unlikely / ids[:, 1:].size, [257, 257])
    never = np.ones([257, 257], bool)
    never[ids[:, :-1], ids[:, 1:]] = never[:, 0] = False
    assert unlikely / ids[:, 1:].size < 2.0**-25, "it must be below half of the smallest float16 number"
    np.testing.assert_allclose(scaled[never], exact[never], rtol=2e-2)
    assert not plain[never].any()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))
    config.train.precision = "mixed_float16"
    config.train.loss_scale, config.train.loss_scale_growth_steps = 2.0**24, 5
    config.train.steps, config.train.checkpoint_every, config.train.eval_every = 30, 10, -1
    config_checks.check_config(config)
    return config


def test_a_run_learns_and_goes_on_bit_for_bit(config, tmp_path, capsys):
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    programs = runs.Programs()
    assert programs.run(config, undisturbed) == exits.DONE
    said = capsys.readouterr().err
    lines = runs.lines(undisturbed)
    scales = [line["loss_scale"] for line in lines]
    assert "Step 1 is skipped: its gradient overflowed float16. The loss scale is 8388608 now." in said
    assert scales[0] == 2.0**23
    assert any(after > before for before, after in itertools.pairwise(scales)), "it must have grown"
    skipped = [line["step"] for line in lines if line["gradient_norm"] is None]
    assert len(skipped) == said.count("is skipped") < 12
    assert all("skipped_steps" not in line for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    _, description = checkpoint_file.read(undisturbed / "checkpoints" / "step-00000030.safetensors")
    assert description["loss_scale"]["value"] == scales[-1]
    assert description["skipped_steps"] == 0

    assert programs.run(config, stopped, runs.StopAfter(len(skipped) + 3)) == exits.STOPPED
    assert programs.run(config, stopped) == exits.DONE
    runs.assert_same(stopped, undisturbed)

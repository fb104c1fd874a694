"""Batches of padded examples have one of a few lengths: few shapes to compile, and the same losses."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM
from tests.trainer import runs
from tests.trainer.training.test_step import _Bigrams, _optimizer_config
from trainer.data import datasets as data
from trainer.data.examples import Examples
from trainer.optimization import optimizer
from trainer.training.evaluation import Evaluation
from trainer.training.step import TrainStep

BUCKETS, LENGTH = (4, 10), 40
# Batches of two: targets 3 and 4, 10 and 1, 2 and 3, 11 and 40.
SIZES = (3, 4, 10, 1, 2, 3, 11, 40)
EXPECTED = (4, 10, 4, 40)
DOCUMENTS = [bytes(range(17 * size, 18 * size)) if size < 12 else bytes(range(size)) for size in SIZES]


def _examples(buckets=BUCKETS):
    return Examples(DOCUMENTS, LENGTH, "padded", length_buckets=buckets)


def _ordered(examples, batch_size=2):
    """Repeats the batches in the order of the documents."""
    return data.validation_dataset(examples, batch_size).repeat()


def test_a_batch_is_cut_to_the_smallest_bucket_that_holds_its_longest_row():
    full = list(itertools.islice(_ordered(_examples(())), 4))
    cut = list(itertools.islice(_ordered(_examples()), 4))
    assert tuple(ids.shape[1] - 1 for ids, _ in cut) == EXPECTED
    for batch, expected in zip(cut, full, strict=True):
        length = batch[0].shape[1]
        assert expected[0].shape == (2, LENGTH + 1)
        assert not expected[1][:, length:].numpy().any()
        for tensor, other in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(tensor, other[:, :length])


def test_rows_have_the_length_of_the_global_batch():
    examples = _examples()
    rows = tf.constant([2, 3, 6, -1], tf.int64)
    full = examples.gather(rows)
    parts = [examples.gather(part, among=rows) for part in (rows[:1], rows[1:2], rows[2:])]
    for part_index in (0, 1):
        assert full[part_index].shape == (4, LENGTH + 1)
        np.testing.assert_array_equal(tf.concat([part[part_index] for part in parts], axis=0), full[part_index])
    assert examples.gather(rows[:1])[0].shape == (1, 11)


def test_training_and_distributed_batches(mirrored_strategy):
    plain, cut = (data.train_dataset(_examples(buckets), 4, seed=1) for buckets in ((), BUCKETS))
    assert cut.element_spec[0].shape.as_list() == [4, None]
    assert plain.element_spec[0].shape.as_list() == [4, LENGTH + 1]
    lengths = set()
    distributed = mirrored_strategy.experimental_distribute_dataset(cut)
    for batch, expected, by_replica in itertools.islice(zip(cut, plain, distributed, strict=False), 12):
        length = batch[0].shape[1]
        lengths.add(length)
        assert not expected[1][:, length:].numpy().any()
        for tensor, other, parts in zip(batch, expected, by_replica, strict=True):
            np.testing.assert_array_equal(tensor, other[:, :length])
            np.testing.assert_array_equal(tf.concat(mirrored_strategy.experimental_local_results(parts), 0), tensor)
    assert len(lengths) > 1


def _reformer(kind):
    return lambda: ReformerCausalLM(257, 48, 1, 16, 2, 8, 32, [kind], chunk_length=8, reversible=kind == "lsh")


@pytest.mark.parametrize(
    ("replicas", "make_model"),
    [
        pytest.param(1, _Bigrams, id="bigrams"),
        pytest.param(2, _Bigrams, id="two-bigrams"),
        pytest.param(1, _reformer("local"), id="local", marks=pytest.mark.slow),
        pytest.param(2, _reformer("local"), id="two-local", marks=pytest.mark.slow),
        pytest.param(1, _reformer("lsh"), id="lsh", marks=pytest.mark.slow),
    ],
)
def test_a_compiled_step_is_traced_once_a_bucket(mirrored_strategy, replicas, make_model):
    strategy = mirrored_strategy if replicas == 2 else tf.distribute.OneDeviceStrategy("CPU:0")

    def train(buckets):
        with strategy.scope():
            model = make_model()
            rng = np.random.default_rng(0)
            for variable in model.trainable_variables:
                variable.assign(0.1 * rng.normal(size=variable.shape))
            slots = optimizer.make_optimizer(_optimizer_config(), 8, model.trainable_variables)
        shapes, losses = [], []
        inner = model.token_losses

        def token_losses(ids, **options):
            shapes.append(ids.shape.as_list())
            return inner(ids, **options)

        model.token_losses = token_losses
        step = TrainStep(model, slots, strategy, jit_compile=True)
        batches = strategy.experimental_distribute_dataset(_ordered(_examples(buckets)))
        for number, (ids, mask) in enumerate(itertools.islice(batches, 8)):
            losses.append(float(step((ids, mask), tf.constant([0, number])).loss))
        return shapes, np.array(losses)

    shapes, losses = train(BUCKETS)
    rows = 2 // replicas
    met = [[rows, length + 1] for length in sorted({*EXPECTED})]
    assert sorted(shapes) == sorted(met * replicas), "a trace for each replica and bucket, of static shapes"
    full_shapes, expected = train(())
    assert full_shapes == [[rows, LENGTH + 1]] * replicas
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_evaluation_gives_the_same():
    model = _Bigrams()
    model.table.assign(np.random.default_rng(0).normal(size=model.table.shape))
    numbers = [Evaluation(model, tf.distribute.get_strategy(), _examples(b), 3).run() for b in ((), BUCKETS)]
    assert numbers[1]["loss"] == pytest.approx(numbers[0]["loss"], rel=1e-6)
    assert numbers[1]["tokens"] == numbers[0]["tokens"] == sum(SIZES)


def test_a_run_is_the_same_with_and_without(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    for number in range(8):  # Documents of many lengths.
        (tmp_path / "corpus" / f"short-{number}.txt").write_text("abc " * (1 + 2 * number))
    config.data.layout = "padded"
    config.train.steps, config.train.batch_size, config.train.eval_every = 4, 2, -1
    runs.run(config, tmp_path / "whole")
    config.data.length_buckets = (24,)
    runs.run(config, tmp_path / "cut")
    for line, other in zip(runs.lines(tmp_path / "cut"), runs.lines(tmp_path / "whole"), strict=True):
        assert (line["split"], line["step"]) == (other["split"], other["step"])
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-6)


@pytest.mark.parametrize("buckets", [(0,), (4, 4), (10, 4), (41,), (4.0,), (True, 4), ("4",)])
def test_buckets_are_checked(buckets):
    with pytest.raises(ValueError, match=r"length_buckets must be positive integers in ascending order.* 40. Received"):
        _examples(buckets)


def test_packed_examples_have_no_buckets():
    with pytest.raises(ValueError, match="length_buckets must be empty unless layout is 'padded'. Received.*'packed'"):
        Examples(DOCUMENTS, LENGTH, "packed", length_buckets=(4,))


def test_the_last_bucket_may_be_named():
    assert [ids.shape[1] for ids, _ in itertools.islice(_ordered(_examples((4, 10, 40))), 4)] == [5, 11, 5, 41]
    spec = data.validation_dataset(_examples((40,)), 2).element_spec[0]
    assert spec.shape.as_list() == [2, 41]

"""Datasets in which the batch of a step is a pure function of seed and step, and `config.data`."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import datasets as data
from trainer.data.examples import LAYOUTS


@pytest.fixture(scope="module")
def examples() -> data.Examples:
    """Eleven examples of documents in which no two examples have the same bytes."""
    return data.Examples([bytes(range(1, 20)), bytes(range(40, 93))], sequence_length=7, layout="padded")


def _batches(dataset, count):
    return [(ids.numpy(), mask.numpy()) for ids, mask in itertools.islice(dataset, count)]


def _indices(examples, batches):
    """Returns the index of the example in each row."""
    known = {ids.tobytes(): index for index, (ids, _) in enumerate(examples)}
    assert len(known) == len(examples)
    return [known[row.tobytes()] for ids, _ in batches for row in ids]


def _assert_equal(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(batch[0], other[0])
        np.testing.assert_array_equal(batch[1], other[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_are_static(layout):
    examples = data.Examples([b"some text"], 4, layout)
    for dataset in (data.train_dataset(examples, 3, seed=0), data.validation_dataset(examples, 3)):
        assert dataset.element_spec == (tf.TensorSpec([3, 5], tf.int32), tf.TensorSpec([3, 5], tf.bool))
    assert data.train_dataset(examples, 3, seed=0).cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.parametrize("start", [0, 1, 3, 4, 17])
def test_starting_at_a_step_equals_skipping(examples, start):
    expected = _batches(data.train_dataset(examples, 3, seed=5), start + 6)
    _assert_equal(_batches(data.train_dataset(examples, 3, seed=5, start_step=start), 6), expected[start:])


def test_starting_far_away_is_instant(examples):
    assert len(_batches(data.train_dataset(examples, 3, seed=5, start_step=10**12), 2)) == 2


@pytest.mark.parametrize("batch_size", [1, 3, 11, 16])
def test_an_epoch_is_a_permutation(examples, batch_size):
    assert len(examples) == 11
    epochs = 6
    indices = _indices(
        examples, _batches(data.train_dataset(examples, batch_size, seed=1), -(-epochs * 11 // batch_size))
    )
    found = [tuple(indices[epoch * 11 : epoch * 11 + 11]) for epoch in range(epochs)]
    assert all(sorted(epoch) == list(range(11)) for epoch in found)
    assert len(set(found)) == epochs
    assert tuple(range(11)) not in found


def test_rows_do_not_depend_on_the_batch_size(examples):
    by_two, by_six = (_batches(data.train_dataset(examples, size, seed=3), 24 // size) for size in (2, 6))
    assert _indices(examples, by_two) == _indices(examples, by_six)


def test_masks_belong_to_their_rows(examples):
    batches = _batches(data.train_dataset(examples, 11, seed=3), 1)
    for index, mask in zip(_indices(examples, batches), batches[0][1], strict=True):
        np.testing.assert_array_equal(mask, examples[index][1])


def test_the_seed_decides_the_permutation(examples):
    seeds = [0, 1, 2**31, 2**31 + 1, -1, 2**40]
    found = [tuple(_indices(examples, _batches(data.train_dataset(examples, 11, seed=seed), 2))) for seed in seeds]
    assert len(set(found)) == len(seeds)
    again = [tuple(_indices(examples, _batches(data.train_dataset(examples, 11, seed=seed), 2))) for seed in seeds]
    assert again == found


def test_the_only_example_comes_every_time():
    examples = data.Examples([b"ab"], 2)
    for ids, mask in _batches(data.train_dataset(examples, 2, seed=0), 3):
        assert ids.tolist() == [[256, 97, 98]] * 2
        assert mask.all()


@pytest.mark.parametrize("start", [0, 5])
def test_distributed_batches_are_the_same(examples, mirrored_strategy, start):
    plain = _batches(data.train_dataset(examples, 4, seed=2, start_step=start), 5)
    distributed = mirrored_strategy.experimental_distribute_dataset(
        data.train_dataset(examples, 4, seed=2, start_step=start)
    )
    joined = [
        tuple(
            np.concatenate([part.numpy() for part in mirrored_strategy.experimental_local_results(value)])
            for value in batch
        )
        for batch in itertools.islice(distributed, 5)
    ]
    _assert_equal(joined, plain)
    one = next(iter(distributed))[0]
    assert [part.shape for part in mirrored_strategy.experimental_local_results(one)] == [(2, 8)] * 2


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_validation_is_every_example_in_sequence(examples, batch_size):
    batches = list(data.validation_dataset(examples, batch_size).as_numpy_iterator())
    assert len(batches) == -(-11 // batch_size)
    ids, mask = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    for row, (example_ids, example_mask) in enumerate(examples):
        np.testing.assert_array_equal(ids[row], example_ids)
        np.testing.assert_array_equal(mask[row], example_mask)
    assert not mask[11:].any()
    assert mask[:, 1:].sum() == examples.tokens
    _assert_equal(list(data.validation_dataset(examples, batch_size).as_numpy_iterator()), batches)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_batch_size_is_checked(examples, batch_size):
    for make in (data.train_dataset, data.validation_dataset):
        with pytest.raises(ValueError, match=r"batch_size must be a positive integer. Received: batch_size="):
            make(examples, batch_size)


def test_start_step_is_checked(examples):
    with pytest.raises(ValueError, match=r"start_step must not be negative. Received: start_step=-1"):
        data.train_dataset(examples, 2, seed=0, start_step=-1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "wikipedia"}, "config.data.name must be one of python_stdlib, text, tfds, .* Received: 'wikipedia'"),
        ({"layout": "loose"}, "config.data.layout must be one of packed, padded. Received: 'loose'"),
        ({"validation_fraction": 0.0}, "config.data.validation_fraction must lie between 0 and 1.* Received: 0.0"),
        ({"validation_fraction": 1.0}, "config.data.validation_fraction must lie between 0 and 1.* Received: 1.0"),
        (
            {"validation_rule": "x"},
            "config.data.validation_rule must be one of documents_and_ends, whole_.* Received: 'x'",
        ),
        ({"any_bytes": "x"}, "config.data.any_bytes must be of type bool. Received: 'x'"),
        ({"path": None}, "config.data.path must be of type str. Received: None"),
        ({"validation_fraction": "x"}, "config.data.validation_fraction must be of type float. Received: 'x'"),
        ({"pat": "x"}, "config.data has the fields any_bytes, .*, validation_rule. Received: 'pat'"),
    ],
)
def test_config_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        data.load_corpus(changes)


def test_missing_fields_take_their_defaults(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"line one\nline two\n" * 9)
    corpus = data.load_corpus({"name": "text", "path": str(tmp_path)})
    assert b"".join([*corpus.train, *corpus.validation]) == b"line one\nline two\n" * 9

"""The task `masked_language_model` on ids that people made."""

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import runs
from tests.trainer.tasks import cases
from trainer.config_checks import check_config
from trainer.data.corpora import Corpus
from trainer.data.id_documents import IdDocuments
from trainer.data.masked_examples import IGNORED, MaskedExamples, restored
from trainer.data.masking import Masking
from trainer.tasks import IdMaskedLanguageModel
from trainer.training.run import Run

ROWS = np.random.default_rng(0).integers(0, 20, [30, 12])


@pytest.fixture
def config(tmp_path):
    return cases.make_config("masked_language_model of ids", tmp_path)


def _batch(masking, scored=None, length=12):
    documents = IdDocuments.from_arrays(ROWS, scored)
    examples = MaskedExamples(masking, documents, length, "padded")
    return examples, examples.gather(tf.range(len(examples), dtype=tf.int64))


@pytest.mark.parametrize("length", [12, 5])
def test_every_id_is_in_one_example_and_may_be_hidden(length):
    examples, (ids, mask, targets) = _batch(Masking(21, 1.0, 1.0, 0.0), length=length)
    assert restored(ids, targets).numpy()[mask].tolist() == ROWS.reshape(-1).tolist()
    assert (ids.numpy()[mask] == 20).all()
    assert examples.tokens == ROWS.size


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_documents_of_one_id_are_predicted_and_in_the_entropy(layout):
    masking, documents = Masking(5, 1.0, 1.0, 0.0), IdDocuments.from_arrays([[0], [1], [2], [3]])
    examples = MaskedExamples(masking, documents, 4, layout)
    _, _, targets = examples.gather(tf.range(len(examples), dtype=tf.int64))
    assert targets.numpy()[targets != IGNORED].tolist() == [0, 1, 2, 3]
    assert IdMaskedLanguageModel(masking).refer(Corpus("ids", None, documents)) == {"entropy_order_0": 2.0}


def test_only_ids_that_are_targets_are_predicted():
    scored = np.broadcast_to(np.arange(12) >= 7, ROWS.shape)
    masking = Masking(21, 1.0, 1.0, 0.0)
    examples, batch = _batch(masking, scored)
    np.testing.assert_array_equal(batch[0], np.where(scored, 20, ROWS))
    np.testing.assert_array_equal(batch[2], np.where(scored, ROWS, IGNORED))
    counts = IdMaskedLanguageModel(masking).counts(batch)
    assert (float(counts["tokens"]), float(counts["predicted"])) == (examples.tokens, scored.sum())


def test_the_report(config, tmp_path):
    run = Run(config, tmp_path / "run", dry=True)
    run.close()
    assert 4.0 < run.task.refer(run.corpus)["entropy_order_0"] <= np.log2(20)
    seen, targets, likeliest = np.array([3, 20, 20, 5]), np.array([IGNORED, 7, 8, IGNORED]), np.array([1, 7, 9, 1])
    *_, before, _, after = run.task.describe(seen, targets, likeliest).splitlines()
    assert (before, after) == (" 3 ▢ ▢ 5", " 3 7 9 5")


def test_the_mask_is_no_id_of_the_data(config, tmp_path):
    config.model.vocabulary_size = 20
    message = "must have ids from 0 to 18, as .*vocabulary_size` is 20, with the mask. Received: id 19 in .*rows.npy at"
    with pytest.raises(ValueError, match=message):
        Run(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.vocabulary_size", 1, "must be at least 2, an id and the mask. Received: 1"),
        ("masking.fraction", 0.0, "`config.masking.fraction` must be above 0 and at most 1. Received: 0.0"),
        ("data.separate_documents", True, "`config.data.separate_documents` must be left at its default .*: True"),
    ],
)
def test_a_config_that_cannot_be(config, field, value, message):
    check_config(config)
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)

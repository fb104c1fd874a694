"""The task `masked_language_model`: what it sums, what it refuses, and what it shows."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import command_line, runs
from tests.trainer.tasks import cases
from trainer import config as configs
from trainer import exits, tasks
from trainer.config_checks import check_config
from trainer.data.corpora import Corpus
from trainer.data.documents import byte_entropy
from trainer.data.masked_examples import IGNORED, MaskedExamples
from trainer.data.masking import Masking
from trainer.optimization import optimizer
from trainer.results import exporting
from trainer.storage.workdir import Workdir
from trainer.tasks import MaskedLanguageModel
from trainer.training.evaluation import Evaluation
from trainer.training.step import TrainStep

MASKING = Masking(258, boundary=256)
NEVER = Masking(258, fraction=1e-10, boundary=256)
DOCUMENTS = [b"one document", b"two", b"", b"and a third one, which is longer"]


class _Unigrams(keras.Model):
    """The same logits at every position: the smallest masked language model."""

    def __init__(self):
        super().__init__()
        self.table = self.add_weight((258,), "zeros", name="table")
        self.table.assign(np.random.default_rng(0).normal(size=258))
        self.segments = None

    def token_losses(self, ids, targets, mask, training=False, seed=None, segment_ids=None):
        self.segments = segment_ids
        logits = tf.broadcast_to(tf.convert_to_tensor(self.table), [*ids.shape, 258])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)
        return tf.where(mask & (targets != IGNORED), losses, 0.0)

    def token_scores(self, ids, targets, mask, segment_ids=None):
        losses = self.token_losses(ids, targets, mask, segment_ids=segment_ids)
        return losses, targets == tf.argmax(tf.convert_to_tensor(self.table), output_type=tf.int32)


class _SGD(optimizer.TakesReducedGradients, keras.optimizers.SGD):
    pass


def _optimizer(model):
    made = _SGD(learning_rate=1.0)
    made.build(model.trainable_variables)
    return made


def _examples(masking=MASKING, length=16):
    return MaskedExamples(masking, DOCUMENTS, length)


def _numbers(sums):
    return {name: float(value) for name, value in sums.items()}


@pytest.fixture
def config(tmp_path):
    return cases.make_config("masked_language_model", tmp_path)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_loss_and_accuracy_are_means_over_the_tokens_to_predict(batch_size):
    model, examples = _Unigrams(), _examples(Masking(258, 0.5, boundary=256))
    found = Evaluation(
        model, tf.distribute.get_strategy(), examples, batch_size, task=MaskedLanguageModel(MASKING)
    ).run()
    *_, targets = examples.gather(tf.range(len(examples), dtype=tf.int64))
    targets = targets.numpy()[targets.numpy() != IGNORED]
    logits = model.table.numpy().astype(np.float64)
    losses = np.log(np.exp(logits).sum()) - logits[targets]
    assert found == {
        "loss": pytest.approx(losses.mean(), rel=1e-6),
        "bits_per_token": pytest.approx(losses.mean() / np.log(2), rel=1e-6),
        "accuracy": pytest.approx((targets == logits.argmax()).mean()),
        "tokens": sum(map(len, DOCUMENTS)) + len(DOCUMENTS),
        "predicted": len(targets),
    }


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_is_the_mean_over_the_global_batch(mirrored_strategy, parts):
    """Uneven replicas and parts: only the sums over the whole batch are divided."""
    task, batch = MaskedLanguageModel(MASKING), _examples().gather(tf.constant([0, 1, 2, 3], tf.int64))
    per_row = np.count_nonzero(batch[2].numpy() != IGNORED, axis=1)
    assert len(set(per_row)) > 1

    def step(strategy):
        with strategy.scope():
            model = _Unigrams()
            slots = _optimizer(model)
        made = TrainStep(model, slots, strategy, task=task, accumulation_steps=parts)
        dataset = tf.data.Dataset.from_tensors(batch).unbatch().batch(4, drop_remainder=True)
        result = made(next(iter(strategy.experimental_distribute_dataset(dataset))), tf.constant([0, 0]))
        return float(result.loss), _numbers(result.sums), model.table.numpy()

    loss, sums, table = step(tf.distribute.OneDeviceStrategy("CPU:0"))
    again = step(mirrored_strategy)
    assert loss == pytest.approx(sums["loss"] / per_row.sum(), rel=1e-6)
    assert sums["predicted"] == per_row.sum()
    assert task.metrics(sums) == {"bits_per_token": pytest.approx(loss / math.log(2), rel=1e-6)}
    assert again[:2] == (pytest.approx(loss, rel=1e-6), pytest.approx(sums, rel=1e-6))
    np.testing.assert_allclose(again[2], table, atol=1e-6)


def test_a_batch_without_a_token_to_predict():
    model, task = _Unigrams(), MaskedLanguageModel(NEVER)
    before = model.table.numpy()
    step = TrainStep(model, _optimizer(model), tf.distribute.get_strategy(), clip_norm=1.0, task=task)
    result = step(_examples(NEVER).gather(tf.constant([0, 3], tf.int64)), tf.constant([0, 0]))
    assert (float(result.loss), float(result.gradient_norm), bool(result.applied)) == (0.0, 0.0, True)
    np.testing.assert_array_equal(model.table, before)
    assert np.isnan([result.mean_loss(task), task.metrics(_numbers(result.sums))["bits_per_token"]]).all()
    found = Evaluation(model, tf.distribute.get_strategy(), _examples(NEVER), 2, task=task).run()
    assert np.isnan([found["loss"], found["bits_per_token"], found["accuracy"]]).all()
    assert (found["tokens"], found["predicted"]) == (51, 0)


def test_hidden_and_random_ids_do_not_move_the_segments():
    model, length = _Unigrams(), sum(map(len, DOCUMENTS)) + len(DOCUMENTS)
    masking = Masking(258, 1.0, 0.0, 1.0, boundary=256)
    # Draws by which a random id is a boundary.
    for draw in range(100):
        batch = _examples(masking, length).gather(tf.constant([0], tf.int64), draws=tf.constant([draw], tf.uint64))
        if np.count_nonzero(batch[0] == 256) > len(DOCUMENTS):
            break
    else:
        pytest.fail("no random id is a boundary")
    MaskedLanguageModel(masking, separate_documents=True).losses(model, batch, training=False)
    expected = np.repeat([1, 2, 3, 4], [len(document) + 1 for document in DOCUMENTS])
    np.testing.assert_array_equal(model.segments[0], expected)
    MaskedLanguageModel(masking).losses(model, batch, training=False)
    assert model.segments is None


def test_the_ids_of_a_batch_are_those_of_the_documents():
    examples = _examples()
    batch = examples.gather(tf.range(len(examples), dtype=tf.int64))
    assert MaskedLanguageModel(MASKING).ids(batch).tolist() == examples.documents.ids.tolist()
    assert (batch[0] == 257).numpy().any()


def test_the_reference_is_the_entropy_of_the_tokens():
    documents = _examples().documents
    found = MaskedLanguageModel(MASKING).refer(Corpus("text", None, documents))
    assert found == {"entropy_order_0": pytest.approx(byte_entropy(documents, order=0))}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "model.vocabulary_size",
            257,
            r"vocabulary_size` must be at least 258 \(.*'bytes', and the mask\). Received: 257",
        ),
        ("data.tokens", "shifted_bytes", "`config.model.vocabulary_size` must be at least 259 .* Received: 258"),
        ("model.ignore_id", 3, "`config.model` must hold arguments of ReformerMaskedLM only, .* Received: ignore_id"),
        ("model.causal", True, "Received: causal"),
        ("masking.fraction", 0.0, "`config.masking.fraction` must be above 0 and at most 1. Received: 0.0"),
        ("masking.fraction", 1.5, "`config.masking.fraction` must be above 0 and at most 1. Received: 1.5"),
        ("masking.mask_fraction", -0.1, "`config.masking.mask_fraction` must be from 0 to 1. Received: -0.1"),
        (
            "masking.random_fraction",
            0.25,
            "must be from 0 to 0.2, what `config.masking.mask_.*` leaves. Received: 0.25",
        ),
        ("masking.random_fraction", -0.1, "`config.masking.random_fraction` must be from 0 to 0.2, .* Received: -0.1"),
        ("sample.prompt", "a", "`config.sample.prompt` must be '' where `config.task` is 'masked_.*. Received: 'a'"),
        ("sample.temperature", 1.0, "temperature` must be 0.8 where .*: it is for 'language_model'. Received: 1.0"),
        ("sample.tokens", 0, "`config.sample.tokens` must be at least 1. Received: 0"),
        (
            "train.best_metric",
            "bits_per_byte",
            "must be one of loss, bits_per_token, accuracy. Received: 'bits_per_byte'",
        ),
    ],
)
def test_a_config_that_cannot_be(config, field, value, message):
    check_config(config)
    runs.set_field(config.unlock() or config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)


@pytest.mark.parametrize("field", [name for name in tasks.MaskedLanguageModel.fields if name.startswith("masking.")])
def test_fields_that_other_tasks_do_not_use(tmp_path, field):
    config = cases.make_config("language_model", tmp_path)
    check_config(config)
    runs.set_field(config, field, 0.05)
    message = (
        f"`config.{field}` must be 0.[18]5? where `config.task` is 'language_model': it is for 'masked_lang.*: 0.05"
    )
    with pytest.raises(ValueError, match=message):
        check_config(config)


def test_a_config_of_before_there_were_masks(config, tmp_path):
    path = tmp_path / "config.json"
    configs.write_config(config, path)
    fields = json.loads(path.read_text())
    del fields["masking"]
    path.write_text(json.dumps(fields))
    assert configs.as_dict(configs.read_config(path)) == configs.as_dict(config)


def test_masks_do_not_change_within_a_run(config, tmp_path):
    workdir = Workdir(tmp_path / "run")
    workdir.checkpoints().save(3, {"a": np.zeros(1)}, {})
    configs.write_config(config, workdir.config)
    config.masking.fraction = 0.3
    with pytest.raises(ValueError, match="must be a new folder .* config.masking.fraction was 0.15 and is 0.3"):
        workdir.check_config(config)


def test_no_signatures_for_strings(config, tmp_path):
    with pytest.raises(
        ValueError, match="`sentencepiece` must not be asked for where `config.task` is 'masked_language"
    ):
        exporting.export_model(None, {"step": 0}, config, Workdir(tmp_path), tmp_path / "export", sentencepiece=True)


def test_no_text_is_continued(config, tmp_path, capfd):
    configs.write_config(config, tmp_path / "config.json")
    assert command_line.run("generate", f"--workdir={tmp_path}", "--prompt=a") == exits.REFUSED
    assert "`workdir` must be the run of a language model" in capfd.readouterr().err

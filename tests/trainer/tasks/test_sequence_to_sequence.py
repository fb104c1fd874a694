"""The task `sequence_to_sequence`: what it sums, what it refuses, what it translates, and what it shows."""

import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import runs
from tests.trainer.tasks import cases
from tests.trainer.tasks.copies import Copies
from trainer import tasks
from trainer.config_checks import check_config
from trainer.data.corpora import Corpus
from trainer.data.pair_documents import PairDocuments
from trainer.model import build_model
from trainer.tasks import bleu

PAIRS = [(b"1", b"eins"), (b"21", b"einundzwanzig"), (b"100", "fünf".encode()), (b"7", b"sieben")]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return cases.make_config("sequence_to_sequence", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(config):
    return build_model(config)


@pytest.fixture
def examples(config):
    return tasks.from_config(config).examples(config, PairDocuments.from_pairs(PAIRS))


def _batch(examples, *indices):
    return examples.gather(tf.constant(indices, tf.int64))


def test_losses_are_those_of_the_target_tokens(config, model, examples):
    task = tasks.from_config(config)
    batch = _batch(examples, 1, -1, 2)
    source, source_mask, target, target_mask = batch
    inputs = {"source": source, "source_mask": source_mask, "target": target, "target_mask": target_mask}
    logits, ids, real = np.asarray(model(inputs), np.float64), target.numpy(), target_mask.numpy()
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nats = -np.take_along_axis(log_probabilities, ids[..., None], axis=-1)[..., 0]
    sums = {**task.losses(model, batch, training=False), **task.counts(batch)}
    np.testing.assert_allclose(sums["loss"], nats[real].sum(), rtol=1e-5)
    np.testing.assert_allclose(sums["byte_loss"], nats[real & (ids < 256)].sum(), rtol=1e-5)
    assert sums["right"] == (logits.argmax(axis=-1) == ids)[real].sum()
    assert (sums["target_tokens"], sums["target_bytes"]) == (13 + 1 + 5 + 1, 13 + 5)
    assert sums["tokens"] == 2 + 3 + 20
    metrics = task.metrics({name: float(value) for name, value in sums.items()})
    bits = float(sums["byte_loss"]) / 18 / math.log(2)
    assert metrics == {"bits_per_byte": pytest.approx(bits), "accuracy": float(sums["right"]) / 20}


def test_training_has_the_smoothed_loss_alone(config, model, examples):
    task, batch = tasks.from_config(config), _batch(examples, 0, 1, 2, 3)
    seed = tf.constant([0, 0, 0], tf.int32)
    sums = task.losses(model, batch, training=True, seed=seed)
    assert {*sums} == {*task.summed} == {"loss"}
    assert abs(float(sums["loss"]) - float(task.losses(model, batch, training=False)["loss"])) > 1e-3
    assert task.metrics({name: float(value) for name, value in {**sums, **task.counts(batch)}.items()}) == {}


def test_tokens_are_those_of_both_sides(config, examples):
    task = tasks.from_config(config)
    counts = task.counts(_batch(examples, 0, 1, 2, 3))
    assert counts["tokens"] == examples.tokens == examples.sizes.sum()
    assert counts["target_tokens"] == examples.target_tokens
    assert sorted(task.ids(_batch(examples, 3))) == sorted([*b"7", *b"sieben", 256])
    request = {name: ids.tolist() for name, ids in task.request(_batch(examples, 3), 4).items()}
    assert request == {"source": [[*b"7"]], "target": [[*b"sieb"]]}


def test_the_reference_is_bleu_of_the_sources(config):
    pytest.importorskip("sacrebleu")
    pairs = [(b"a small house with a garden", b"a small house by the sea"), (b"yes", b"ja")]
    corpus = Corpus("texts", None, PairDocuments.from_pairs(pairs))
    expected = bleu.corpus_bleu(*([text.decode() for text in side] for side in zip(*pairs, strict=True))).score
    assert 0 < expected < 100
    assert tasks.from_config(config).refer(corpus) == {"bleu_of_sources": expected}


def test_the_metrics_of_translations(config):
    pytest.importorskip("sacrebleu")
    pairs = [(b"a b c d e", b"a b c d e"), (b"f", b"g"), (b"\xff", b"\xff"), (b"h", b"i")]
    config = config.copy_and_resolve_references()
    config.data.source_length = 16
    for count, chosen in ((2, [0, 2]), (-1, [0, 1, 2, 3]), (9, [0, 1, 2, 3])):
        config.translation.examples = count
        task = tasks.from_config(config)
        examples = task.generated_examples(task.examples(config, PairDocuments.from_pairs(pairs)))
        numbers, told = task.generated_metrics(Copies(), examples, 2, lambda done: None)
        texts = [[text.decode(errors="replace") for text in pairs[index]] for index in chosen]
        assert numbers["exact_match"] == sum(one == other for one, other in texts) / len(chosen)
        assert numbers["bleu"] == bleu.corpus_bleu(*zip(*texts, strict=True)).score > 0
        assert told.startswith(f"BLEU of {len(chosen)} translations: {numbers['bleu']:.2f}, nrefs:1|")


def test_nothing_is_translated_if_the_config_says_so(config, examples, monkeypatch):
    config = config.copy_and_resolve_references()
    config.translation.examples, config.report = 0, False
    check_config(config)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    task = tasks.from_config(config)
    assert task.generated_examples(examples) is None
    assert len(task.validation_examples(config, PairDocuments.from_pairs(PAIRS))) == len(PAIRS)


def test_without_the_package_for_bleu(config, examples, monkeypatch):
    """Before any step, and by whoever evaluates; a run that only generates does not need it."""
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    task = tasks.from_config(config)
    for work in (
        lambda: task.validation_examples(config, PairDocuments.from_pairs(PAIRS)),
        lambda: task.generated_examples(examples),
    ):
        with pytest.raises(ValueError, match="sacrebleu, which the extra `translation` installs"):
            work()


def test_the_sample_shows_sources_translations_and_references(config):
    pairs = [(f"{number}".encode(), f"zahl\n{number}".encode()) for number in range(40)]
    task = tasks.from_config(config)
    text = task.sample(Copies(), config, task.examples(config, PairDocuments.from_pairs(pairs)))
    blocks = text.split("\n\n")
    assert len(blocks) == 10
    assert blocks[1].splitlines() == ["source       4", "translation  4", r"reference    zahl\n4"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "data.layout",
            "packed",
            "`config.data.layout` must be 'padded' where .* each pair is a row. Received: 'packed",
        ),
        ("data.train_windows", 3, "`config.data.train_windows` must be 0 where .*, which does not use it. Received: 3"),
        ("data.source_length", 17, "`config.data.source_length` must be from 1 to .*max_source_length`, 16, or 0 for"),
        ("data.source_length", 0, "`config.data.source_length` must be from 1 to .*max_source_length`, 16, or 0 for"),
        ("train.sequence_length", 73, "`config.train.sequence_length` must be from 1 to .*max_target_length`, 72. Rec"),
        ("model.source_vocabulary_size", 256, "`config.model.source_vocabulary_size` must be at least 257 .the ids of"),
        ("model.target_vocabulary_size", 256, "`config.model.target_vocabulary_size` must be at least 257 .the ids of"),
        (
            "model.vocabulary_size",
            257,
            "must hold arguments of ReformerSeq2Seq only, .* Received: vocabulary_size; did",
        ),
        ("model.max_target_length", None, "`config.model` must have `max_target_length`. Received: attention_dropout"),
        ("model.num_encoder_layers", None, "`config.model` must have `num_encoder_layers`. Received: "),
        ("model.num_decoder_layers", 0, "must hold what the model takes: .*num_.*layers.* Received: "),
        ("model.encoder_attention_layers", ("far",), "must hold what the model takes: .*'far'"),
        ("model.dropout", 1.0, "must hold what the model takes: dropout"),
        ("data.name", "text", "must be a source of pairs of texts where .*'sequence_to_sequence'. Received: 'text'"),
        (
            "translation.examples",
            -2,
            "`config.translation.examples` must be at least -1, which means all. Received: -2",
        ),
        ("translation.sampler", "top_k", "`config.translation.sampler` must be one of greedy, beam. Received: 'top_k'"),
        ("translation.bleu_tokenizer", "ja", "must be one of 13a, intl, zh, char, none. Received: 'ja'"),
        ("translation.num_beams", 0, "`config.translation.num_beams` must be at least 1. Received: 0"),
        (
            "translation.length_penalty",
            -0.5,
            "`config.translation.length_penalty` must not be negative. Received: -0.5",
        ),
        ("translation.max_new_tokens", 73, "must be from 0 to `config.model.max_target_length`, 72. Received: 73"),
        ("translation.examples", 0, "`config.report` must be False where `config.translation.examples` is 0: the rep"),
        ("sample.prompt", "a", "`config.sample.prompt` must be '' where .*'sequence_to_sequence'.* Received: 'a'"),
        (
            "train.best_metric",
            "f1",
            "best_metric` must be one of loss, bits_per_byte, accuracy, bleu, exact_match. Rec",
        ),
    ],
)
def test_what_is_refused_before_the_data_is_read(config, field, value, message):
    config = config.copy_and_resolve_references()
    if field.startswith("model."):
        changed = {**config.model, field.removeprefix("model."): value}
        config.model = {name: entry for name, entry in changed.items() if entry is not None}
    else:
        runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)


@pytest.mark.parametrize("field", ["best_metric", "early_stopping_metric"])
def test_a_metric_of_translations_takes_some(config, field):
    config = config.copy_and_resolve_references()
    config.train[field], config.report = "bleu", False
    check_config(config)
    config.translation.examples = 0
    with pytest.raises(ValueError, match=f"{field}` must not be one of bleu, exact_match where .*examples` is 0"):
        check_config(config)


def test_the_fields_of_translations_are_for_this_task_alone(tmp_path):
    config = cases.make_config("language_model", tmp_path)
    config.translation.num_beams = 2
    message = (
        "`config.translation.num_beams` must be 4 where `config.task` is 'language_model': it is for 'sequence_to_s"
    )
    with pytest.raises(ValueError, match=message):
        check_config(config)

"""Classification in the trainer: what is counted, what is refused, labels that are kept, the sample."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import command_line, runs
from tests.trainer.tasks import cases
from trainer import exits, tasks
from trainer.config import read_config
from trainer.config_checks import check_config
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents
from trainer.data.labelled_documents import LabelledDocuments
from trainer.model import build_model
from trainer.tasks import label_sample
from trainer.training.run import Run


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return cases.make_config("classification", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return cases.make_config("classification of pairs", tmp_path_factory.mktemp("data"))


def _documents(pair=False):
    first, second = Documents([b"abc", b"xyz", b"x" * 100]), Documents([b"d", b"uvw", b""])
    return LabelledDocuments(first, np.array([0, 1, 1]), ("first", "second"), second if pair else None)


@pytest.mark.parametrize("name", ["config", "pairs"])
def test_losses_are_those_of_the_real_rows(request, name):
    config = request.getfixturevalue(name)
    task, model = tasks.from_config(config), build_model(config)
    examples = task.examples(config, _documents(pair=name == "pairs"))
    batch = examples.gather(tf.constant([2, 0, -1, 1], tf.int64))
    assert [(spec.shape[1:], spec.dtype) for spec in task.signature(config)] == [
        (tensor.shape[1:], tensor.dtype) for tensor in batch
    ]
    *rows, labels = [tensor.numpy() for tensor in batch]
    inputs = dict(zip(("ids", "mask", "pair_ids", "pair_mask"), rows, strict=False))
    logits = np.asarray(model(inputs), np.float64)
    real = [0, 1, 3]
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    sums = {**task.losses(model, batch, training=False), **task.counts(batch)}
    np.testing.assert_allclose(sums["loss"], -sum(log_probabilities[row, labels[row]] for row in real), rtol=1e-5)
    assert sums["correct"] == sum(logits[row].argmax() == labels[row] for row in real)
    assert sums["examples"] == 3
    assert sums["tokens"] == examples.tokens == (64 + 4 + 4 + (1 + 2 + 4 if name == "pairs" else 0))
    metrics = task.metrics({key: float(value) for key, value in sums.items()})
    assert metrics == {"accuracy": float(sums["correct"]) / 3}
    assert task.refer(Corpus("texts", None, examples.documents)) == {"majority_accuracy": pytest.approx(2 / 3)}
    one = examples.gather(tf.constant([1], tf.int64))
    served = {key: value.tolist() for key, value in task.request(one, 3).items()}
    assert served["ids"] == [[256, *b"xy"]]
    assert served.get("ids_pair") == ([[256, *b"uv"]] if name == "pairs" else None)
    assert sorted(task.ids(one)) == sorted([256, *b"xyz", *([256, *b"uvw"] if name == "pairs" else [])])


def test_an_id_outside_the_vocabulary_gives_a_loss_that_is_not_a_number(config):
    task, model = tasks.from_config(config), build_model(config)
    batch = (tf.constant([[300, 1]]), tf.constant([[True, True]]), tf.constant([0]))
    losses = tf.function(lambda *tensors: task.losses(model, tensors, training=False), autograph=False)
    assert np.isnan(losses(*batch)["loss"])


def test_the_sample_shows_labels_and_texts(config):
    task, model = tasks.from_config(config), build_model(config)
    model.output_projection.bias.assign([9.0, 0.0])
    examples = task.examples(config, _documents())
    lines = task.sample(model, config, examples).splitlines()
    assert lines[0].startswith("right: first (0.99") or lines[0].startswith("right: first (1.0")
    assert lines[0].endswith("): 'abc'")
    assert lines[1].startswith("wrong: first (")
    assert lines[1].endswith("), not second: 'xyz'")
    assert lines[2].endswith(f"'{'x' * 60}'...")
    assert label_sample.describe(model, examples, None).splitlines()[0].endswith(": 256 97 98 99")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "data.layout",
            "packed",
            "`config.data.layout` must be 'padded' where .* 'classification': each text is a row",
        ),
        ("data.train_windows", 3, "`config.data.train_windows` must be 0 where .*, which does not use it. Received: 3"),
        ("data.separate_documents", True, "`config.data.separate_documents` must be False where .*'classification'"),
        ("sample.prompt", "a", "`config.sample.prompt` must be '' where .*'classification'.* Received: 'a'"),
        ("sample.tokens", 7, "`config.sample.tokens` must be 400 where .*'classification'.* Received: 7"),
        ("model.num_classes", None, "`config.model` must have `num_classes`, the number of labels. Received: "),
        ("model.causal", True, "`config.model.pooling` must be 'last' or 'mean' where .* Received: 'first'"),
        ("model.pair", True, "`config.model.pair` must be False, because `config.data.pair_key` is ''. Received: True"),
        (
            "model.vocabulary_size",
            256,
            "must be at least 257 .the ids of `config.data.tokens`, 'bytes'.. Received: 256",
        ),
        ("data.labels", ("a", "b", "c"), "`config.model.num_classes` must be 3, the number of labels: a, b, c. .* 2"),
        (
            "data.labels",
            ("a", "a"),
            r"`config.data.labels` must be different strings, none empty. Received: \('a', 'a'",
        ),
        ("data.name", "text", "must be a source of labelled text or labelled ids where .*'classification'. Received: "),
        ("train.best_metric", "bits_per_byte", "best_metric` must be one of loss, accuracy. Received: 'bits_per_byte'"),
    ],
)
def test_what_is_refused_before_the_data_is_read(config, field, value, message):
    config = config.copy_and_resolve_references()
    if field.startswith("model."):
        config.model = {**config.model, field.removeprefix("model."): value}
    else:
        runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)


def test_labels_of_other_sources_and_fields_of_labelled_text_are_refused(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.data.labels = ("a", "b")
    with pytest.raises(ValueError, match=r"`config.data.labels` must be empty unless .* is a source with labels. Rec"):
        check_config(config)
    config.data.labels, config.data.label_key = (), "class"
    with pytest.raises(ValueError, match="`config.data.label_key` must be 'label' where .*: it is for 'labelled_text'"):
        Run(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": ""}, "config.data.path or config.data.tfds_name must be given .* Received: '' and ''"),
        ({"tfds_name": "imdb_reviews"}, "and not both. Received: '.*' and 'imdb_reviews'"),
        ({"tfds_train_split": "test"}, "`config.data.tfds_train_split` must be 'train': it is for data sets"),
        ({"data_dir": "/data"}, "`config.data.data_dir` must be '': it is for data sets, `config.data.tfds_name`"),
        (
            {"path": "", "tfds_name": "imdb_reviews", "validation_path": "/a.csv"},
            "`config.data.validation_path` must be '': it is for files. Received: '/a.csv'",
        ),
    ],
)
def test_fields_of_labelled_text(config, fields, message):
    config = config.copy_and_resolve_references()
    check_config(config)
    config.data.update(fields)
    with pytest.raises(ValueError, match=message):
        check_config(config)


def test_the_number_of_labels_that_are_found(config, tmp_path):
    config = config.copy_and_resolve_references()
    config.model.num_classes = 3
    with pytest.raises(
        ValueError, match="`config.model.num_classes` must be 2, the number of labels: first, second. .*3"
    ):
        Run(config, tmp_path)


def test_labels_are_kept_with_the_run(config, tmp_path):
    config = config.copy_and_resolve_references()
    config.train.steps, config.train.eval_every = 1, -1
    config.export = config.report = False
    assert runs.run(config, tmp_path) == exits.DONE
    assert read_config(tmp_path / "config.json").data.labels == ("first", "second")
    config.train.steps = 2
    run = Run(config, tmp_path)
    run.close()
    assert (run.step, run.config.data.labels) == (1, ("first", "second"))
    config.data.labels = ("second", "first")
    with pytest.raises(ValueError, match=r"config.data.labels was \['first', 'second'\] and is \['second', 'first'\]"):
        Run(config, tmp_path)


@pytest.mark.slow
def test_the_command_evaluate_scores_another_file(config, tmp_path, capsys):
    config = config.copy_and_resolve_references()
    config.train.steps, config.export, config.report = 1, False, False
    runs.run(config, tmp_path / "run")
    other = cases.write_labelled_texts(tmp_path / "other.jsonl", count=10)
    assert command_line.run("evaluate", f"--workdir={tmp_path / 'run'}", f"--config.data.path={other}") == exits.DONE
    numbers = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (numbers["examples"], numbers["documents"], numbers["scored"]) == (10, 10, f"all of {other}")
    assert 0 <= numbers["accuracy"] <= 1

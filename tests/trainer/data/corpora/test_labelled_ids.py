"""The sources of generated ids with labels."""

import numpy as np
import pytest

from configs import tiny
from trainer.config import default_config
from trainer.config_checks import check_config
from trainer.data.corpora import SOURCES
from trainer.data.corpora import pathfinder as pathfinder_source
from trainer.data.datasets import load_corpus
from trainer.data.generated import small_cnn
from trainer.data.generated.baselines import bag_of_pixels
from trainer.data.generated.listops import listops
from trainer.data.generated.listops_oracles import accuracies
from trainer.data.generated.pathfinder import pathfinder
from trainer.tasks import Classification

SMALL = {"examples": 5, "validation_examples": 3}
LISTOPS = {**SMALL, "name": "listops", "min_length": 6, "max_length": 30, "max_depth": 4, "max_arguments": 4, "seed": 2}
PATHFINDER = {**SMALL, "name": "pathfinder", "contour_length": 6}


def test_listops():
    corpus = load_corpus(LISTOPS)
    assert (len(corpus.train), len(corpus.validation)) == (5, 3)
    assert corpus.name == "ListOps of 7 to 29 tokens, depth 4, 4 arguments, seed 2"
    ids, lengths, labels = listops(5, 6, 30, 4, 4, seed=2)
    documents = corpus.train.documents
    assert np.diff(documents.offsets).tolist() == lengths.tolist()
    for row, start, stop in zip(ids, documents.offsets, documents.offsets[1:], strict=False):
        assert documents.ids.read(start, stop).tolist() == row[: stop - start].tolist()
    assert corpus.train.labels.tolist() == labels.tolist()
    assert corpus.train.label_names == tuple("0123456789")


def test_baselines_of_listops():
    corpus = load_corpus({**LISTOPS, "examples": 300, "validation_examples": 100})
    baselines = SOURCES["listops"].baselines
    found = baselines.compute(corpus)
    assert {*found} == {*baselines.labels}
    sizes = (6, 30, 4, 4)
    expected = accuracies(listops(300, *sizes, seed=2), listops(100, *sizes, seed=2, part="validation"))
    assert [*found.values()] == [expected[name] for name in ("root", "level 1", "level 2", "level 3")]
    task = Classification(baselines=baselines)
    assert {*task.refer(corpus)} == {*task.references} == {"majority_accuracy", *found}


def test_pathfinder():
    corpus = load_corpus(PATHFINDER)
    ids, labels = pathfinder(3, 6, part="validation")
    assert corpus.validation.documents.ids.read(0, 3 * 1024).tolist() == ids.reshape(-1).tolist()
    assert corpus.validation.labels.tolist() == labels.tolist()
    assert corpus.validation.label_names == ("apart", "connected")
    assert corpus.train.size == "5 examples of 5,120 ids"
    other = load_corpus({**PATHFINDER, "seed": 1})
    assert other.train.fingerprint != corpus.train.fingerprint
    fewer = load_corpus({**PATHFINDER, "distractors": 2})
    ids, _ = pathfinder(3, 6, 2, part="validation")
    assert fewer.validation.documents.ids.read(0, 3 * 1024).tolist() == ids.reshape(-1).tolist()
    assert fewer.name == "Pathfinder of contours of 6 dashes, 2 distractors, seed 0"


def test_baselines_of_pathfinder(monkeypatch, capsys):
    monkeypatch.setattr(small_cnn, "_BLOCKS", 0)  # a third of the time
    monkeypatch.setattr(pathfinder_source, "_LEARNT", 40)
    monkeypatch.setattr(pathfinder_source, "_EPOCHS", 2)
    corpus = load_corpus({**PATHFINDER, "examples": 50, "validation_examples": 30})
    found = SOURCES["pathfinder"].baselines.compute(corpus)
    lines = [f"A small CNN learns from 40 pictures: epoch {epoch} of 2" for epoch in (1, 2)]
    assert capsys.readouterr().out.splitlines() == lines
    train, validation = pathfinder(40, 6), pathfinder(30, 6, part="validation")
    assert found["bag_of_pixels_accuracy"] == bag_of_pixels(*train, *validation)
    assert found["small_cnn_accuracy"] == small_cnn.small_cnn(*train, *validation, epochs=2)
    task = Classification(baselines=SOURCES["pathfinder"].baselines)
    assert {*task.references} == {"majority_accuracy", *found}


@pytest.mark.parametrize(
    ("source", "field", "value", "message"),
    [
        (LISTOPS, "data.examples", 0, "`config.data.examples` must be at least 1. Received: 0"),
        (LISTOPS, "data.seed", -1, "`config.data.seed` must not be negative. Received: -1"),
        (LISTOPS, "data.max_length", 7, "`config.data.max_length` must be at least 8. Received: 7"),
        (LISTOPS, "data.max_arguments", 1, "`config.data.max_arguments` must be at least 2. Received: 1"),
        (LISTOPS, "train.sequence_length", 28, "must be at least 29, the longest example of .*'listops'. Received: 28"),
        (LISTOPS, "model.vocabulary_size", 14, "must be at least 15, the ids of 'listops'. Received: 14"),
        (LISTOPS, "data.tokens", "shifted_bytes", "must be left at its default where .*'listops', a source of ids"),
        (LISTOPS, "data.layout", "packed", "`config.data.layout` must be 'padded' where `config.task` is 'classific"),
        (
            LISTOPS,
            "model.num_classes",
            9,
            "`config.model.num_classes` must be 10, the number of .*'listops'. Received: 9",
        ),
        (LISTOPS, "data.labels", ("one",), r"`config.data.labels` must be empty or \('0', .*Received: \('one',\)"),
        (PATHFINDER, "data.contour_length", 2, "`config.data.contour_length` must be at least 3. Received: 2"),
        (PATHFINDER, "data.distractors", -2, "`config.data.distractors` must be at least -1. Received: -2"),
        (PATHFINDER, "model.vocabulary_size", 255, "must be at least 256, the ids of 'pathfinder'. Received: 255"),
    ],
)
def test_what_is_refused(source, field, value, message):
    config = tiny.get_config()
    config.task, config.data.layout = "classification", "padded"
    config.data.update(source)
    config.sample.tokens = default_config().sample.tokens
    is_listops = source is LISTOPS
    config.model.max_sequence_length = config.train.sequence_length = 29 if is_listops else 1024
    config.model.vocabulary_size, config.model.num_classes = (15, 10) if is_listops else (256, 2)
    check_config(config)
    group, name = field.split(".")
    config[group][name] = value
    with pytest.raises(ValueError, match=message):
        check_config(config)

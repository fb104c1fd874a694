"""Validation documents that cannot be evaluated are refused before the training, unless nothing evaluates them."""

import numpy as np
import pytest

import trainer
from tests.trainer import runs
from trainer.config import default_config
from trainer.data import corpora
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.training.run import Run

TEXTS = Documents([b"abcdef"] * 8)
IDS = IdDocuments.from_arrays([[1, 2, 3, 4]] * 8)


def _labelled(names=("a", "b"), pairs=None):
    return LabelledDocuments(TEXTS, np.arange(8) % 2, names, pairs)


CASES = {
    "other names of labels": ("labelled text", _labelled(), _labelled(("b", "a")), "`config.data.labels` must be"),
    "pairs": ("labelled text", _labelled(), _labelled(pairs=TEXTS), "`config.model.pair` must be True, because"),
    "no documents": (
        "labelled text",
        _labelled(),
        LabelledDocuments(Documents([]), [], ("a", "b")),
        "documents must hold at least one document",
    ),
    "no ids": ("ids", IDS, IdDocuments.from_arrays([]), "must hold at least one target"),
    "nothing scored": (
        "ids",
        IDS,
        IdDocuments(IDS.ids, IDS.offsets, scored=np.zeros(len(IDS.ids), bool)),
        "must hold at least one target",
    ),
    "one id each": ("ids", IDS, IdDocuments.from_arrays([[1]] * 8), "must hold at least one target"),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch):
    """The config of a run with such documents, and what is said about them."""
    contents, train, validation, message = CASES[request.param]
    monkeypatch.setitem(corpora.SOURCES, "own", None)
    trainer.register_corpus("own", lambda data: Corpus("own", train, validation), contents)
    config = runs.make_config(tmp_path)
    config.data.name, config.data.path, config.data.layout = "own", "", "padded"
    if contents == corpora.LABELLED_TEXT:
        config.task, config.model.num_classes = "classification", 2
        config.sample.tokens = default_config().sample.tokens
    return config, message


def test_before_the_training(case, tmp_path):
    config, message = case
    with pytest.raises(ValueError, match=f"`config.data` must .*{message}"):
        Run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_examples_are_cut_once(tmp_path):
    run = Run(runs.make_config(runs.write_corpus(tmp_path / "corpus")), tmp_path / "run")
    run.close()
    assert run.validation_examples() is run.validation_examples()


@pytest.mark.parametrize("export", [False, True])
def test_where_nothing_evaluates_only_an_export_needs_them(tmp_path, monkeypatch, export):
    monkeypatch.setitem(corpora.SOURCES, "own", None)
    contents, train, validation, message = CASES["one id each"]
    trainer.register_corpus("own", lambda data: Corpus("own", train, validation), contents)
    config = runs.make_config(tmp_path)
    config.data.name, config.data.path, config.data.layout = "own", "", "padded"
    config.train.eval_every, config.export = -1, export
    if export:
        with pytest.raises(ValueError, match=message):
            Run(config, tmp_path / "run")
    else:
        Run(config, tmp_path / "run").close()

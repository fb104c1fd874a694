"""Sources of documents that people register: what is taken and refused, and processes that each load them.

`tests/documentation/test_data.py` trains, evaluates and exports with one.
"""

import sys

import numpy as np
import pytest

import trainer
from tests.trainer import clusters, runs
from trainer import config as configs
from trainer.config_checks import check_config
from trainer.data import corpora, datasets
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments

MODULE = '''
"""Sources of every kind of documents, of the texts in a folder."""

import pathlib

import numpy as np

import trainer
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments


def as_ids(texts):
    return IdDocuments.from_arrays([np.frombuffer(text, np.uint8) for text in texts])


def labelled(make):
    return lambda texts: LabelledDocuments(make(texts), np.arange(len(texts)) % 2, ("even", "odd"))


def register(name, contents, make):
    def load(data):
        texts = [path.read_bytes() for path in sorted(pathlib.Path(data.path).glob("*.txt"))]
        return Corpus(name, make(texts[2:]), make(texts[:2]))

    trainer.register_corpus(name, load, contents)


register("own_texts", "text", Documents)
register("own_ids", "ids", as_ids)
register("own_labelled_texts", "labelled text", labelled(Documents))
register("own_labelled_ids", "labelled ids", labelled(as_ids))
'''
_TEXTS, _IDS = Documents([b"abc"]), IdDocuments.from_arrays([[1, 2]])
KINDS = {
    "own_texts": Documents,
    "own_ids": IdDocuments,
    "own_labelled_texts": LabelledDocuments,
    "own_labelled_ids": LabelledDocuments,
}


def make_config(folder, name):
    """Makes the config of a run on one of the sources, which classifies where there are labels."""
    config = runs.make_config(folder / "corpus")
    config.data.name, config.data.module, config.data.layout = name, "own_sources", "padded"
    if "labelled" in name:
        config.task, config.model.num_classes, config.model.max_sequence_length = "classification", 2, 1024
        config.train.sequence_length = 1024
        config.sample.tokens = configs.default_config().sample.tokens
    return config


@pytest.fixture
def sources(monkeypatch):
    """Lets a test register sources that are gone after it."""
    for name in ("own", *KINDS):
        monkeypatch.setitem(corpora.SOURCES, name, None)
        del corpora.SOURCES[name]


@pytest.fixture
def folder(sources, tmp_path, monkeypatch):
    """A folder with the module `own_sources` and the texts that it reads."""
    (tmp_path / "own_sources.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    runs.write_corpus(tmp_path / "corpus")
    yield tmp_path
    sys.modules.pop("own_sources", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("my corpus", len), "`name` must be a Python identifier. Received: name='my corpus'"),
        (("tokens", len), "`name` must not be one of .*tokens.* Received: name='tokens'"),
        (("own", "function"), "`function` must be a function of `config.data`. Received: function='function'"),
        (("own", len, "pictures"), "`contents` must be one of text, ids, .* Received: contents='pictures'"),
    ],
)
def test_what_cannot_be_registered(arguments, message):
    with pytest.raises(ValueError, match=message):
        trainer.register_corpus(*arguments)


@pytest.mark.parametrize("name", KINDS)
def test_a_module_is_imported_where_the_config_names_it(folder, name):
    config = make_config(folder, name)
    config.data.module = ""
    with pytest.raises(ValueError, match=rf"`config.data.name` must be one of .* Received: '{name}'"):
        check_config(config)
    config.data.module = "own_sources"
    check_config(config)
    corpus = datasets.load_corpus(config.data)
    assert type(corpus.train) is type(corpus.validation) is KINDS[name]
    assert (len(corpus.train), len(corpus.validation)) == (6, 2)
    assert datasets.load_scored(config.data).documents.fingerprint == corpus.validation.fingerprint
    config.data.module = "no_such_module"
    with pytest.raises(ValueError, match=r"`config.data.module` must name a module .* Received: 'no_such_module'"):
        check_config(config)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (".broken", "", "must be the full name of a module, without a dot first. Received: '.broken'"),
        ("broken", "1 / 0", r"imported from here. Received: 'broken' \(ZeroDivisionError: division by zero\)"),
        ("broken", "def", r"imported from here. Received: 'broken' \(SyntaxError: .*broken.py, line 1\)"),
        ("broken", "trainer.register_corpus('a b', len)", r"'broken' \(ValueError: `name` must be a Python identifier"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch, name, content, message):
    (tmp_path / "broken.py").write_text(f"import trainer\n{content}" if "trainer" in content else content)
    monkeypatch.syspath_prepend(tmp_path)
    config = runs.make_config(tmp_path)
    config.data.module = name
    with pytest.raises(ValueError, match=f"`config.data.module` .*{message}"):
        check_config(config)


@pytest.mark.parametrize(
    ("returned", "received"),
    [
        ([1, 2], "list"),
        (Corpus("mixed", IdDocuments.from_arrays([[1, 2]]), Documents([b"ab"])), "IdDocuments, Documents"),
        (Corpus("arrays", np.ones(3, int), np.ones(3, int)), "ndarray, ndarray"),
    ],
)
def test_a_source_must_return_what_it_was_registered_with(sources, returned, received):
    trainer.register_corpus("own", lambda data: returned, contents="ids")
    message = rf"a source of ids that returns a Corpus of two IdDocuments. Received: 'own', which returns {received}$"
    _check_load(message)


@pytest.mark.parametrize(
    ("contents", "first", "second", "kinds", "received"),
    [
        ("labelled text", _IDS, None, "Documents", "IdDocuments"),
        ("labelled text", _TEXTS, _IDS, "Documents", "Documents and IdDocuments"),
        ("labelled ids", _TEXTS, None, "IdDocuments", "Documents"),
        ("labelled ids", [b"abc"], None, "IdDocuments", "list"),
    ],
)
def test_what_is_labelled_must_be_what_a_source_was_registered_with(sources, contents, first, second, kinds, received):
    part = LabelledDocuments(first, np.zeros(1, int), ("a", "b"), second)
    trainer.register_corpus("own", lambda data: Corpus("own", part, part), contents)
    found = f"LabelledDocuments of {received}"
    _check_load(rf"Corpus of two LabelledDocuments of {kinds}. Received: 'own', which returns {found}, {found}$")


def _check_load(message):
    for load in (datasets.load_corpus, datasets.load_scored):
        with pytest.raises(ValueError, match=message):
            load({"name": "own"})


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_two_processes_load_it_each(folder, name):
    config = make_config(folder, name)
    config.train.steps = 6
    path = clusters.write_config(folder, config)
    environment = {"PYTHONPATH": f"{folder}:{':'.join(filter(None, sys.path))}"}
    clusters.run(path, folder / "one", environment=environment)
    clusters.run(path, folder / "two", environment=environment, workers=2)
    assert configs.read_config(folder / "two" / "config.json").data.module == "own_sources"
    for split in ("train", "validation"):
        found, expected = (clusters.losses(folder / part, split) for part in ("two", "one"))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

"""Examples in docstrings run unchanged and give the results shown, with the usual imports and the documented object.

Examples that read an external file, a checkpoint, are marked to be skipped without it; these tests provide one.
"""

import doctest
import importlib
import pathlib
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import presets
from reformer_tf.ops import replay
from reformer_tf.pretrained import from_huggingface
from tests.documentation.blocks import ROOT
from tests.pretrained import golden_files, test_trax

MODULES = [
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("reformer_tf", "trainer", "tools")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def _huggingface(monkeypatch):
    """A checkpoint with the ids of bytes, and the buckets of a run."""
    content = golden_files.read("causal")
    new = 258
    id_tensors = ("word_embeddings", "lm_head")
    tensors = {
        name: np.resize(value, (new, *value.shape[1:])) if any(part in name for part in id_tensors) else value
        for name, value in content["tensors"].items()
    }
    folder = pathlib.Path("reformer-enwik8")
    folder.mkdir()
    golden_files.write(folder, content, tensors=tensors, vocab_size=new)
    ids = np.array([[0, *range(40)]], np.int32)
    with replay.recording() as buckets:
        from_huggingface(folder)(ids)
    return {"ids": ids, "buckets": buckets}


def _trax(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "reformer-enwik8", test_trax.ARGUMENTS)
    with open("model.pkl", "wb") as file:
        pickle.dump({"weights": test_trax._Made().weights}, file)
    return {}


def _sentencepiece(monkeypatch):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("tensorflow_text")
    with open("text.txt", "w") as file:
        file.write("the long road where a word follows\n" * 50)
    sentencepiece.SentencePieceTrainer.train(input="text.txt", model_prefix="spiece", vocab_size=20, minloglevel=2)
    return {}


FILES = {
    "reformer_tf.tokenizers.sentencepiece_tokenizer": _sentencepiece,
    "reformer_tf.pretrained.huggingface": _huggingface,
    "reformer_tf.pretrained.trax": _trax,
}
SLOW = {"reformer_tf.tokenizers.sentencepiece_tokenizer", "reformer_tf.pretrained.huggingface"}


def test_there_are_examples():
    assert len(MODULES) >= 30
    assert set(FILES) <= set(MODULES)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in MODULES])
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    files = FILES[name](monkeypatch) if name in FILES else {}
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs={}) if test.examples]
    assert tests
    for test in tests:
        documented = test.name.removeprefix(name).strip(".").split(".")[0]
        test.globs = {"np": np, "keras": keras, "tf": tf, **files}
        if documented:
            test.globs[documented] = getattr(module, documented)
        for example in test.examples:
            skipped = example.options.pop(doctest.SKIP, False)
            assert name in FILES or not skipped, f"{test.name} is not run"
        report = []
        assert doctest.DocTestRunner().run(test, out=report.append).failed == 0, "".join(report)

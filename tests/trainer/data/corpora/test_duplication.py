"""The source of the duplication task."""

import numpy as np

from trainer.data.datasets import load_corpus
from trainer.data.examples import Examples

FIELDS = {"name": "duplication", "examples": 6, "validation_examples": 4, "length": 8, "symbols": 9, "layout": "padded"}


def test_documents_and_targets():
    corpus = load_corpus(FIELDS)
    assert (len(corpus.train), len(corpus.validation)) == (6, 4)
    for length in (7, 8):  # Exactly the ids after the first, or one of padding beside them.
        examples = Examples(corpus.train, length, "padded")
        assert (len(examples), examples.tokens) == (6, 18)
        ids, mask, scored = examples.gather(np.arange(6))
        words = ids.numpy()[:, 1:4]
        assert words.min() >= 1
        assert words.max() <= 9
        np.testing.assert_array_equal(ids[:, 5:8], words)
        assert not ids.numpy()[:, [0, 4]].any()
        assert mask.numpy().sum(axis=1).tolist() == [8] * 6
        assert np.flatnonzero(scored[0]).tolist() == [5, 6, 7]


def test_the_seed_decides_the_examples():
    fingerprints = [
        part.fingerprint
        for seed in (0, 1, 0)
        for corpus in [load_corpus({**FIELDS, "seed": seed})]
        for part in (corpus.train, corpus.validation)
    ]
    assert fingerprints[:2] == fingerprints[4:]
    assert len({*fingerprints}) == 4

"""Labelled excerpts of the standard library, here of a few files in its place."""

import numpy as np
import pytest

from tests.trainer.data.corpora.writing import write_files
from trainer.data.corpora import stdlib_labels
from trainer.data.datasets import load_corpus

LENGTH = 9  # With the boundary: excerpts of 8 bytes.


def _content(name, excerpts):
    return b"".join(b"%s %05d;" % (name, number) for number in range(excerpts))  # 8 bytes each.


@pytest.fixture
def library(tmp_path, monkeypatch):
    files = {f"m{number}.py": _content(b"%d" % number, 7 + number) for number in range(6)}
    files |= {f"test/t{number}.py": _content(b"%c" % (97 + number), 50) + b"end" for number in range(6)}
    folder = write_files(tmp_path / "library", files)
    monkeypatch.setattr(stdlib_labels.sysconfig, "get_paths", lambda: {"stdlib": str(folder)})
    return {"validation_fraction": 0.2, "length": LENGTH}


def test_modules_and_tests(library):
    corpus = load_corpus({**library, "name": "stdlib_tests"})
    files = []
    for part in (corpus.train, corpus.validation):
        assert part.label_names == ("module", "test")
        texts = [*part.documents]
        kinds = {
            text[:1]: part.label_names[label] for text, label in zip(texts, part.labels, strict=True) if b";" in text
        }
        assert all((kind == "test") == name.isalpha() for name, kind in kinds.items())
        assert {*kinds.values()} == {"module", "test"}
        assert {len(text) for text in texts} <= {8, 3}
        files.append({*kinds})
    assert not files[0] & files[1]
    assert len(corpus.train) + len(corpus.validation) == sum(range(7, 13)) + 6 * 51


def test_pairs(library):
    corpus = load_corpus({**library, "name": "stdlib_pairs"})
    for part in (corpus.train, corpus.validation):
        assert part.label_names == ("two files", "one file")
        pairs = [*zip(part.documents, part.pairs, part.labels, strict=True)]
        for first, second, label in pairs:
            assert len(first) == len(second) == 8
            assert (first[:1] == second[:1]) == (label == 1)
            if label:
                assert int(second[2:7]) == int(first[2:7]) + 1
        counts = [sum(first[:1] == name for first, _, _ in pairs) for name in {first[:1] for first, _, _ in pairs}]
        assert max(counts) <= 16
    assert np.mean(corpus.train.labels) == pytest.approx(0.5, abs=0.02)
    again, other = (load_corpus({**library, "name": "stdlib_pairs", "seed": seed}) for seed in (0, 1))
    assert again.train.fingerprint == corpus.train.fingerprint != other.train.fingerprint

"""The first run on a machine begins like all later ones, although it alone prepares the corpus."""

import sysconfig

import numpy as np

from tests.trainer import runs
from tests.trainer.data.corpora.writing import write_files
from trainer.training.run import Run


def test_preparing_the_corpus_changes_no_weights(tmp_path, monkeypatch):
    library = write_files(tmp_path / "library", {f"{name}.py": b"x = 1\n" * 400 for name in "abcdefgh"})
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    config = runs.make_config(tmp_path)
    config.data.name, config.data.path, config.data.data_dir = "python_stdlib", "", str(tmp_path / "prepared")
    weights = []
    for name in ("first", "second"):
        run = Run(config, tmp_path / name)
        weights.append([x.numpy() for x in run.model.weights])
        run.close()
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)

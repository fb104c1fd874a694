"""The first run with a TFDS data set begins like all later ones, although it alone prepares the data."""

import numpy as np

from tests.trainer import runs
from tests.trainer.data.corpora import tiny_texts
from trainer.training.run import Run


def test_preparing_the_corpus_changes_no_weights(tmp_path):
    config = runs.make_config(tmp_path)
    config.data.name, config.data.path, config.data.data_dir = "tfds", "", str(tmp_path / "prepared")
    config.data.tfds_name, config.data.tfds_text_key = tiny_texts.TinyTexts.name, "body"
    config.data.tfds_validation_split = "test"
    weights = []
    for name in ("first", "second"):
        run = Run(config, tmp_path / name)
        weights.append([x.numpy() for x in run.model.weights])
        run.close()
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)

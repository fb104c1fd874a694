"""The signatures that a run exports, by its tokenizer."""

import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM
from tests.trainer import runs
from trainer.results import exporting
from trainer.storage.workdir import Workdir


@pytest.fixture
def config(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.model.vocabulary_size = 60
    return config


def _model(config):
    return ReformerCausalLM(**config.model.to_dict())


def _signatures(config, folder, **options):
    path = exporting.export_model(_model(config), {"step": 0}, config, Workdir(folder), folder / "export", **options)
    return set(tf.saved_model.load(path).signatures)


def test_a_sentencepiece_run(config, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text.txt").write_text("\n".join(path.read_text() for path in (tmp_path / "corpus").iterdir()))
    options = {"input": str(tmp_path / "text.txt"), "model_prefix": str(tmp_path / "spiece"), "vocab_size": 20}
    sentencepiece.SentencePieceTrainer.train(**options, minloglevel=2)
    config.data.tokens, config.data.sentencepiece_model = "sentencepiece", str(tmp_path / "spiece.model")
    id_signatures = {"predict", "serving_default", "embed", "score_ids"}
    assert _signatures(config, tmp_path) == id_signatures
    pytest.importorskip("tensorflow_text")
    assert _signatures(config, tmp_path, sentencepiece=True) == {*id_signatures, "score", "generate"}


def test_sentencepiece_that_a_run_does_not_have(config, tmp_path):
    with pytest.raises(
        ValueError, match="`sentencepiece` must not be asked for where .* run is 'bytes'. Received: True"
    ):
        _signatures(config, tmp_path, sentencepiece=True)
    assert not (tmp_path / "export").exists()

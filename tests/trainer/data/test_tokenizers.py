"""The tokenizers of a run: by name, for documents, and in the losses."""

import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from tests.tokenizers import pieces
from trainer.config import read_config
from trainer.convert import convert
from trainer.data import documents as text
from trainer.data import numbered_documents, tokenizers
from trainer.data.examples import Examples
from trainer.evaluate import evaluate
from trainer.storage.workdir import Workdir
from trainer.tasks import LanguageModel, text_sample
from trainer.training.evaluation import Evaluation


def test_names():
    assert tokenizers.from_config({}) is tokenizers.from_config({"tokens": "bytes"}) is tokenizers.BYTES
    assert tokenizers.from_config({"tokens": "shifted_bytes"}) is tokenizers.SHIFTED_BYTES
    with pytest.raises(
        ValueError, match=r"config.data.tokens must be one of bytes, shifted_bytes, sentencepiece. Received: 'words'"
    ):
        tokenizers.from_config({"tokens": "words"})


def test_documents_of_bytes():
    documents = text.Documents([b"ab", b"", b"c"])
    assert numbered_documents.number(documents, tokenizers.BYTES) is documents
    shifted = numbered_documents.number(documents, tokenizers.SHIFTED_BYTES)
    assert shifted.ids.tolist() == [0, 99, 100, 0, 0, 101]
    assert shifted.offsets.tolist() == documents.offsets.tolist()
    assert (len(shifted), shifted.num_bytes) == (3, 3)
    examples = [Examples(each, 4, "padded") for each in (documents, shifted)]
    for (ids, mask), (others, other_mask) in zip(*examples, strict=True):
        np.testing.assert_array_equal(mask, other_mask)
        np.testing.assert_array_equal(others[mask], tokenizers.SHIFTED_BYTES.to_ids(bytes(ids[mask][1:].tolist())))


@pytest.mark.parametrize("tokenizer", tokenizers.BYTE_TOKENIZERS.values(), ids=[*tokenizers.BYTE_TOKENIZERS])
def test_bits_per_byte_are_of_bytes(tokenizer):
    """With a model that gives each id a fixed loss: boundaries cost 1000 nats, and count only as tokens."""

    class Model:
        def token_scores(self, ids, mask):
            costs = np.where(tokenizer.byte_counts > 0, math.log(2.0), 1000.0).astype(np.float32)
            return tf.where(mask[:, 1:], tf.gather(costs, ids[:, 1:]), 0.0), mask[:, 1:] & (ids[:, 1:] == ids[:, :-1])

    documents = numbered_documents.number(text.Documents([b"abc", b"de", b"f"]), tokenizer)
    examples = Examples(documents, 4)
    numbers = Evaluation(Model(), tf.distribute.get_strategy(), examples, 2, task=LanguageModel(tokenizer)).run()
    assert numbers["bits_per_byte"] == pytest.approx(1.0)
    assert (numbers["tokens"], numbers["bytes"]) == (8, 6)
    counts = LanguageModel(tokenizer).counts(tuple(tf.constant(part[None]) for part in examples[0]))
    assert {name: float(count) for name, count in counts.items()} == {"tokens": 4.0, "bytes": 3.0}


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    return pieces.train(tmp_path_factory.mktemp("pieces"), vocab_size=40)


def test_documents_of_pieces(sentencepiece_model):
    data = {"tokens": "sentencepiece", "sentencepiece_model": str(sentencepiece_model)}
    tokenizer = tokenizers.from_config(data)
    assert tokenizers.from_config(data) is tokenizer
    lines = sentencepiece_model.with_name("text.txt").read_text().splitlines()[:3]
    documents = numbered_documents.number(text.Documents([line.encode() for line in lines]), tokenizer)
    assert len(documents) == 3
    assert documents.num_bytes == sum(len(line) + 1 for line in lines)  # The blank that begins each text counts too.
    for line, start, end in zip(lines, documents.offsets[:-1], documents.offsets[1:], strict=True):
        assert documents.ids[start:end].tolist() == tokenizer.to_ids(line).tolist()
    examples = Examples(documents, 16)
    assert examples.target_bytes == documents.num_bytes


def test_pieces_that_cannot_be_had(sentencepiece_model, monkeypatch, tmp_path):
    data = {"tokens": "sentencepiece", "sentencepiece_model": str(tmp_path / "none")}
    with pytest.raises(ValueError, match=r"config.data.sentencepiece_model cannot be used: .* Received: path='.*none'"):
        tokenizers.from_config(data)
    (tmp_path / "other.model").write_bytes(sentencepiece_model.read_bytes())
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ValueError, match=r"cannot be used: .* package .*. Received: an environment without"):
        tokenizers.from_config({**data, "sentencepiece_model": str(tmp_path / "other.model")})


def test_a_converted_sentencepiece_model(sentencepiece_model, tmp_path):
    model = models.ReformerCausalLM(40, 64, 1, 16, 2, 8, 24, ["local"])
    config = convert(model, tmp_path / "run", sentencepiece_model=sentencepiece_model)
    assert config.data.tokens == "sentencepiece"
    assert config.data.sentencepiece_model == str((tmp_path / "run" / "spiece.model").resolve())
    config = read_config(tmp_path / "run" / "config.json")
    config.data.name, config.data.path = "text", str(sentencepiece_model.with_name("text.txt"))
    config.data.validation_fraction, config.train.sequence_length = 0.2, 16
    assert 1 < evaluate(config, Workdir(tmp_path / "run"))["bits_per_byte"] < 6
    new = text_sample.continue_text(model, "abc", 5, 1.0, tokenizer=tokenizers.from_config(config.data))
    assert set(new) <= set("abcdefgh ")
    with pytest.raises(ValueError, match=r"`source` must hold spiece.model for `tokens` sentencepiece"):
        convert(model, tmp_path / "other", "sentencepiece")

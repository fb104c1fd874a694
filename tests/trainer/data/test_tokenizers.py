"""Tokenizers: text to ids and back, and the bytes that ids stand for."""

import itertools
import math
import random
import sys

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from trainer.config import read_config
from trainer.convert import convert
from trainer.data import documents as text
from trainer.data import tokenizers
from trainer.data.examples import Examples
from trainer.evaluate import evaluate
from trainer.results import sample
from trainer.storage.workdir import Workdir
from trainer.training import gradients
from trainer.training.evaluation import Evaluation

SCHEMES = pytest.mark.parametrize(
    "tokenizer", [tokenizers.BYTES, tokenizers.SHIFTED_BYTES], ids=lambda tokenizer: tokenizer.name
)


@SCHEMES
def test_text_there_and_back(tokenizer):
    data = bytes(range(256))
    ids = tokenizer.encode(data)
    assert ids.dtype == np.int32
    assert ids[0] == tokenizer.boundary
    assert tokenizer.decode(ids) == data
    assert np.array_equal(tokenizer.byte_counts[ids], [0] + [1] * 256)
    assert ids.max() < tokenizer.vocabulary_size == len(tokenizer.byte_counts)
    assert tokenizer.encode("é").tolist() == tokenizer.encode("é".encode()).tolist()


def test_the_ids_of_each_tokenizer():
    assert tokenizers.BYTES.encode("ab").tolist() == text.encode("ab").tolist() == [256, 97, 98]
    assert tokenizers.SHIFTED_BYTES.encode("ab").tolist() == [0, 99, 100]


@SCHEMES
def test_ids_that_stand_for_no_text_are_left_out(tokenizer):
    extra = [1, 999, tokenizer.boundary] if tokenizer is tokenizers.SHIFTED_BYTES else [999, tokenizer.boundary]
    assert tokenizer.decode([*tokenizer.encode(b"a"), *extra]) == b"a"


def test_documents():
    documents = text.Documents([b"ab", b"", b"c"])
    assert tokenizers.BYTES.documents(documents) is documents
    shifted = tokenizers.SHIFTED_BYTES.documents(documents)
    assert shifted.ids.tolist() == [0, 99, 100, 0, 0, 101]
    assert shifted.offsets.tolist() == documents.offsets.tolist()
    assert (len(shifted), shifted.num_bytes) == (3, 3)
    examples = [Examples(each, 4, "padded") for each in (documents, shifted)]
    for (ids, mask), (others, other_mask) in zip(*examples, strict=True):
        np.testing.assert_array_equal(mask, other_mask)
        np.testing.assert_array_equal(others[mask], tokenizers.SHIFTED_BYTES.encode(bytes(ids[mask][1:].tolist())))


@SCHEMES
def test_bits_per_byte_are_of_bytes(tokenizer):
    """With a model that gives each id a fixed loss: boundaries cost 1000 nats, and count only as tokens."""

    class Model:
        def token_losses(self, ids, mask, training):
            costs = np.where(tokenizer.byte_counts > 0, math.log(2.0), 1000.0).astype(np.float32)
            return tf.where(mask[:, 1:], tf.gather(costs, ids[:, 1:]), 0.0)

    documents = tokenizer.documents(text.Documents([b"abc", b"de", b"f"]))
    examples = Examples(documents, 4)
    numbers = Evaluation(Model(), tf.distribute.get_strategy(), examples, 2, tokenizer=tokenizer).run()
    assert numbers["bits_per_byte"] == pytest.approx(1.0)
    assert (numbers["tokens"], numbers["bytes"]) == (8, 6)
    ids, mask = (tf.constant(part[None]) for part in examples[0])
    assert [float(x) for x in gradients.count_targets(ids, mask, tokenizer)] == [4.0, 3.0]


def test_unknown_schemes():
    assert tokenizers.from_config({}) is tokenizers.BYTES
    with pytest.raises(
        ValueError, match=r"config.data.tokens must be one of bytes, shifted_bytes, sentencepiece. Received: 'words'"
    ):
        tokenizers.from_config({"tokens": "words"})


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    """The file of a small SentencePiece model."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("pieces")
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(40)]
    (folder / "text.txt").write_text("\n".join(" ".join(rng.choices(words, k=8)) for _ in range(200)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "spiece"), vocab_size=40, minloglevel=2
    )
    return folder / "spiece.model"


def test_sentencepiece(sentencepiece_model):
    tokenizer = tokenizers.from_config({"tokens": "sentencepiece", "sentencepiece_model": str(sentencepiece_model)})
    assert (
        tokenizers.from_config({"tokens": "sentencepiece", "sentencepiece_model": str(sentencepiece_model)})
        is tokenizer
    )
    data = sentencepiece_model.with_name("text.txt").read_text().splitlines()[:3]
    ids = tokenizer.encode(data[0])
    assert ids[0] == 0
    assert len(ids) < len(data[0])
    assert ids.max() < tokenizer.vocabulary_size == 40
    assert tokenizer.decode(ids) == data[0].encode()
    assert tokenizer.decode([*ids.tolist(), 0, 1, 999]) == data[0].encode()
    # The blank that begins each text counts as well.
    assert tokenizer.byte_counts[ids].sum() == len(data[0]) + 1
    documents = tokenizer.documents(text.Documents([line.encode() for line in data]))
    assert len(documents) == 3
    assert documents.num_bytes == sum(len(line) + 1 for line in data)
    for line, start, end in zip(data, documents.offsets[:-1], documents.offsets[1:], strict=True):
        assert documents.ids[start:end].tolist() == tokenizer.encode(line).tolist()
    examples = Examples(documents, 16)
    assert examples.target_bytes == documents.num_bytes


def test_sentencepiece_and_bytes(sentencepiece_model):
    """A model with byte pieces for unknown characters: each id adds to the text, also within a character."""
    sentencepiece = pytest.importorskip("sentencepiece")
    options = {
        "input": str(sentencepiece_model.with_name("text.txt")),
        "model_prefix": str(sentencepiece_model.with_name("bytes")),
    }
    sentencepiece.SentencePieceTrainer.train(**options, vocab_size=300, byte_fallback=True, minloglevel=2)
    tokenizer = tokenizers.SentencePieceTokenizer(sentencepiece_model.with_name("bytes.model"))
    for written in ("abc é dé€a", "é abc", "😀"):
        ids = tokenizer.encode(written).tolist()
        came = [tokenizer.decode(ids[:count]) for count in range(len(ids) + 1)]
        assert came[-1] == written.encode()
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(came))
        assert tokenizer.byte_counts[ids].sum() == len(written.encode()) + 1


def test_sentencepiece_that_cannot_be_had(sentencepiece_model, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"config.data.sentencepiece_model must be such a file. Received: '.*none'"):
        tokenizers.SentencePieceTokenizer(str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ValueError, match=r"needs the package sentencepiece. Received: an environment without it"):
        tokenizers.SentencePieceTokenizer(str(sentencepiece_model))


def test_a_converted_sentencepiece_model(sentencepiece_model, tmp_path):
    model = models.ReformerCausalLM(40, 64, 1, 16, 2, 8, 24, ["local"])
    config = convert(model, tmp_path / "run", sentencepiece_model=sentencepiece_model)
    assert config.data.tokens == "sentencepiece"
    assert config.data.sentencepiece_model == str((tmp_path / "run" / "spiece.model").resolve())
    config = read_config(tmp_path / "run" / "config.json")
    config.data.name, config.data.path = "text", str(sentencepiece_model.with_name("text.txt"))
    config.data.validation_fraction, config.train.sequence_length = 0.2, 16
    assert 1 < evaluate(config, Workdir(tmp_path / "run"))["bits_per_byte"] < 6
    new = sample.continue_text(model, "abc", 5, 1.0, tokenizer=tokenizers.from_config(config.data))
    assert set(new) <= set("abcdefgh ")
    with pytest.raises(ValueError, match=r"`source` must hold spiece.model for `tokens` sentencepiece"):
        convert(model, tmp_path / "other", "sentencepiece")

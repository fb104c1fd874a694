"""Exports with strings in pieces, which need TensorFlow Text."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import SentencePieceTokenizer, export_saved_model
from reformer_tf.models import ReformerSeq2Seq
from tests.export import c_program
from tests.export.conftest import make_model

sentencepiece = pytest.importorskip("sentencepiece")
tensorflow_text = pytest.importorskip("tensorflow_text")

BOUNDARY = 0
TEXTS = ["the long road", "a  word é", "where"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    words = ["where", "the", "long", "road", "turns", "a", "word", "follows", "é"]
    rng = np.random.default_rng(0)
    (folder / "text.txt").write_text("\n".join(" ".join(rng.choice(words, 6)) for _ in range(200)))
    options = {"input": str(folder / "text.txt"), "model_prefix": str(folder / "spiece"), "vocab_size": 26}
    sentencepiece.SentencePieceTrainer.train(**options, minloglevel=2)
    return folder / "spiece.model"


@pytest.fixture(scope="module")
def processor(model_file):
    return sentencepiece.SentencePieceProcessor(model_file=str(model_file))


@pytest.fixture(scope="module")
def model():
    return make_model(vocabulary_size=26, max_sequence_length=64, num_layers=1, attention_layers=["local"])


@pytest.fixture(scope="module")
def path(model, model_file, tmp_path_factory):
    return export_saved_model(model, tmp_path_factory.mktemp("export"), SentencePieceTokenizer(model_file, BOUNDARY))


@pytest.fixture(scope="module")
def exported(path):
    return tf.saved_model.load(path)


def test_scores(model, exported, processor):
    outputs = exported.signatures["score"](text=tf.constant(TEXTS))
    for row, text in enumerate(TEXTS):
        ids = processor.encode(text)
        losses = tf.function(model.token_losses)(tf.constant([[BOUNDARY, *ids]]))[0].numpy()
        found = outputs["token_log_probabilities"][row].numpy()
        np.testing.assert_allclose(found[: len(ids)], -losses, atol=1e-5)
        assert not np.any(found[len(ids) :])
        bits = losses.sum() / np.log(2) / len(text.encode())
        np.testing.assert_allclose(outputs["bits_per_byte"][row], bits, atol=1e-5)


def test_generates(model, exported, processor):
    rows = len(TEXTS)
    settings = {"max_new_tokens": [12] * rows, "top_k": [0] * rows, "seed": [7] * rows}
    numbers = {"temperature": [1.0] * rows, "top_p": [1.0] * rows}
    found = exported.signatures["generate"](
        text=tf.constant(TEXTS),
        **{name: tf.constant(value, tf.int32) for name, value in settings.items()},
        **{name: tf.constant(value, tf.float32) for name, value in numbers.items()},
    )["generated_text_bytes"].numpy()
    prompts = [processor.encode(text) for text in TEXTS]
    rows = [[BOUNDARY, *prompt] for prompt in prompts]
    new = model.generate(rows, 12, sampler="random", seed=7, stop_tokens=[BOUNDARY])
    for prompt, ids, text in zip(prompts, new, found, strict=True):
        # A blank between the prompt and the generated text is part of the latter.
        full_text = processor.decode(prompt + [token for token in ids if token != BOUNDARY])
        assert processor.decode(prompt) + text.decode() == full_text


@pytest.mark.parametrize(
    "text, message",
    [
        ([b"the", b"\xff"], "`text` must be UTF-8.*other bytes in row 1"),
        ([b"caf\xc3", b"the"], "`text` must be UTF-8.*other bytes in row 0"),
        ([b""], "`text` must have from 1 to 64 pieces a row"),
        ([b"the long road " * 40], "`text` must have from 1 to 64 pieces a row"),
        (tf.zeros([0], tf.string), "`text` must have at least one row"),
    ],
)
def test_an_invalid_request_and_then_a_valid_one(exported, text, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        exported.signatures["score"](text=tf.constant(text))
    assert exported.signatures["score"](text=tf.constant(["\ufeffthe"]))["bits_per_byte"].shape == [1]


def test_it_needs_tensorflow_text_and_nothing_else(path, tmp_path):
    code = "import sys, tensorflow as tf; {}tf.saved_model.load({!r}); assert 'reformer_tf' not in sys.modules"
    with_it = subprocess.Popen([sys.executable, "-c", code.format("import tensorflow_text; ", str(path))], cwd=tmp_path)
    without = [sys.executable, "-c", code.format("", str(path))]
    refused = subprocess.run(without, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0
    # The first missing operation differs from export to export.
    assert re.search(r"not registered 'Sentencepiece\w*Op'", refused.stderr)
    assert with_it.wait(timeout=120) == 0


def test_scores_without_python(program, model, path, processor):
    operations = pathlib.Path(tensorflow_text.__file__).parent / "python" / "ops"
    library = operations / "_sentencepiece_tokenizer.so"
    assert library.exists()
    valid, invalid = [*TEXTS, "\ufeffthe"], ["", "the long road " * 40]
    lines = c_program.score(program, path, "token_log_probabilities", [*invalid, *valid], [library])
    for line in lines[: len(invalid)]:
        assert line.startswith("error")
        assert "`text` must have from 1 to 64 pieces a row" in line
    for text, line in zip(valid, lines[len(invalid) :], strict=True):
        losses = tf.function(model.token_losses)(tf.constant([[BOUNDARY, *processor.encode(text)]]))[0]
        np.testing.assert_allclose(c_program.numbers(line), -losses, atol=1e-5)


@pytest.mark.slow
def test_translations_and_scores_of_pairs(model_file, processor, tmp_path):
    sizes = {"hidden_dim": 16, "num_heads": 2, "key_dim": 8, "intermediate_dim": 24, "chunk_length": 4}
    model = ReformerSeq2Seq(
        26, 26, 64, 64, 1, 1, **sizes, encoder_attention_layers=["local"], decoder_attention_layers=["local"]
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    exported = tf.saved_model.load(export_saved_model(model, tmp_path, SentencePieceTokenizer(model_file, BOUNDARY)))
    # The model's normalisation makes letters of half width of the full ones.
    sources, targets = [*TEXTS, "\uff54\uff48\uff45 long road"], ["a word", "the", "where é", "\uff41 word"]
    outputs = exported.signatures["score_pair"](source=tf.constant(sources), target=tf.constant(targets))
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        ids = [*processor.encode(target), processor.eos_id()]
        pair = {"source": tf.constant([processor.encode(source)]), "target": tf.constant([ids])}
        losses = model.token_losses(pair)[0].numpy()
        found = outputs["token_log_probabilities"][row].numpy()
        np.testing.assert_allclose(found[: len(ids)], -losses, atol=1e-4)
        assert not np.any(found[len(ids) :])
        bits = losses[:-1].sum() / np.log(2) / len(target.encode())
        np.testing.assert_allclose(outputs["bits_per_byte"][row], bits, rtol=1e-4)
    rows = len(sources)
    settings = {"max_new_tokens": 12, "top_k": 0, "seed": 0, "num_beams": 3}
    numbers = {"temperature": 0.0, "top_p": 1.0, "length_penalty": 0.6}
    found = exported.signatures["translate"](
        source=tf.constant(sources),
        **{name: tf.fill([rows], value) for name, value in {**settings, **numbers}.items()},
    )["translation"].numpy()
    ids = [processor.encode(source) for source in sources]
    beams = {"sampler": "beam", "num_beams": 3, "length_penalty": 0.6}
    new = model.generate(ids, 12, stop_tokens=[processor.eos_id()], **beams)
    assert [text.decode() for text in found] == [
        processor.decode([token for token in row if token != BOUNDARY]) for row in new
    ]
    with pytest.raises(tf.errors.InvalidArgumentError, match="`target` must have from 1 to 63 pieces a row"):
        exported.signatures["score_pair"](source=tf.constant(["the"]), target=tf.constant([" "]))


def test_the_model_card(path):
    card = json.loads((path / "assets.extra" / "model_card.json").read_text())
    assert card["tokenizer"]["kind"] == "sentencepiece"
    assert len(card["tokenizer"]["sha256"]) == 64


def test_what_is_refused(model, model_file, tmp_path):
    with pytest.raises(ValueError, match="path must be the file of a SentencePiece model. Received: path=.*none.model"):
        SentencePieceTokenizer(tmp_path / "none.model")
    (tmp_path / "text.model").write_text("no model")
    with pytest.raises(ValueError, match="path must be the file of a SentencePiece model. Received: path=.*text.model"):
        SentencePieceTokenizer(tmp_path / "text.model")
    few = make_model(vocabulary_size=20, max_sequence_length=64, num_layers=1, attention_layers=["local"])
    with pytest.raises(ValueError, match="vocabulary_size=20. Received: SentencePieceTokenizer with 26 ids"):
        export_saved_model(few, tmp_path / "models", SentencePieceTokenizer(model_file))

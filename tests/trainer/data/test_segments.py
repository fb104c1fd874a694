"""With `separate_documents`, a packed example gives the same as examples of one document each."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM
from tests.trainer import runs
from tests.trainer.training.test_step import _optimizer_config
from trainer.data import numbered_documents, segments, tokenizers
from trainer.data.examples import Examples
from trainer.evaluate import evaluate
from trainer.optimization import optimizer
from trainer.storage.workdir import Workdir
from trainer.tasks import LanguageModel
from trainer.training.evaluation import Evaluation
from trainer.training.run import Run
from trainer.training.step import TrainStep

DOCUMENTS = [b"one document", b"two", b"", b"and a third one, which is longer"]
LENGTH = sum(map(len, DOCUMENTS)) + len(DOCUMENTS) - 1  # One example holds them all.
TOKENIZERS = [tokenizers.BYTES, tokenizers.SHIFTED_BYTES]


def _model(kind="local", **options):
    sizes = (258, 64, 1, 16, 2, 8, 32, [kind])
    options = {"positions": "none", "redraw_rotations": False, **options}  # Training gives what an evaluation gives.
    model = ReformerCausalLM(*sizes, chunk_length=8, num_hashes=1, **options)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def _examples(tokenizer, layout):
    return Examples(numbered_documents.number(Examples(DOCUMENTS, 1).documents, tokenizer), LENGTH, layout)


def _evaluate(model, layout, separate, tokenizer=tokenizers.BYTES):
    task = LanguageModel(tokenizer, separate)
    return Evaluation(model, tf.distribute.get_strategy(), _examples(tokenizer, layout), 1, task=task).run()


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=[*tokenizers.BYTE_TOKENIZERS])
def test_evaluation(tokenizer):
    separate_examples, packed = (_evaluate(_model(), *how, tokenizer) for how in (("padded", False), ("packed", True)))
    assert packed["bytes"] == separate_examples["bytes"] == sum(map(len, DOCUMENTS))
    assert packed["bits_per_byte"] == pytest.approx(separate_examples["bits_per_byte"], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "jit_compile"),
    [("lsh", False), ("local", True), pytest.param("lsh", True, marks=pytest.mark.slow)],
)
def test_a_training_step(kind, jit_compile):
    model = _model(kind, reversible=not jit_compile)
    separate_examples, together = (_evaluate(model, layout, False)["bits_per_byte"] for layout in ("padded", "packed"))
    assert together != pytest.approx(separate_examples, rel=1e-4)
    slots = optimizer.make_optimizer(_optimizer_config(), 1, model.trainable_variables)
    task = LanguageModel(separate_documents=True)
    step = TrainStep(model, slots, tf.distribute.get_strategy(), jit_compile=jit_compile, task=task)
    result = step(_examples(tokenizers.BYTES, "packed").gather(tf.constant([0], tf.int64)), tf.constant([0, 0]))
    metrics = task.metrics({name: float(value) for name, value in result.sums.items()})
    assert metrics["bits_per_byte"] == pytest.approx(separate_examples, rel=1e-5)


def test_a_run(tmp_path):
    """The run and the command evaluate alike, and the field makes a difference."""
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    for number in range(30):  # Examples hold several documents.
        (tmp_path / "corpus" / f"short-{number}.txt").write_text("abc " * (1 + number % 5))
    config.train.steps = 1
    config.data.separate_documents = True
    runs.run(config, tmp_path / "run")
    (validation,) = [line for line in runs.lines(tmp_path / "run") if line["split"] == "validation"]
    workdir = Workdir(tmp_path / "run")
    assert evaluate(config, workdir)["loss"] == pytest.approx(validation["loss"], rel=1e-6)
    config.data.separate_documents = False
    assert evaluate(config, workdir)["loss"] != pytest.approx(validation["loss"], rel=1e-5)


def test_examples_of_one_document_need_no_segments(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.data.separate_documents = True
    assert segments.are_wanted(config.data)
    config.data.layout = "padded"
    assert not segments.are_wanted(config.data)


def test_segments_by_hand():
    ids = tf.constant([[5, 256, 7, 7, 256, 256, 9], [256, 1, 2, 3, 4, 5, 6]])
    found = segments.call_options(ids, tokenizers.BYTES, True)["segment_ids"]
    assert found.numpy().tolist() == [[0, 1, 1, 1, 2, 3, 3], [1] * 7]
    assert not segments.call_options(ids, tokenizers.BYTES, False)


def test_a_boundary_inside_of_a_document_is_refused(tmp_path, monkeypatch):
    """For instance where a SentencePiece model has the same id for unknown characters."""
    monkeypatch.setattr(tokenizers.BYTES, "boundary", ord("a"))
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    Run(config, tmp_path / "run").close()
    config.data.separate_documents = True
    message = (
        r"`config.data.separate_documents` must be False .* Received: id 97 of ByteTokenizer, \d+ times in \d documents"
    )
    with pytest.raises(ValueError, match=message):
        Run(config, tmp_path / "run")

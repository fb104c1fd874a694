"""The language model of ids: what is counted and summed, the references, and the sample."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data.corpora import Corpus
from trainer.data.examples import Examples
from trainer.data.id_documents import IdDocuments
from trainer.tasks import IdLanguageModel

SIZE = 7


class _Bigrams:
    """Logits by the id before: a language model that numpy computes in a line."""

    def __init__(self):
        self.table = np.random.default_rng(0).normal(size=[SIZE, SIZE]).astype(np.float32)

    def token_scores(self, ids, mask=None):
        logits = tf.gather(self.table, ids[:, :-1])
        losses = keras.losses.sparse_categorical_crossentropy(ids[:, 1:], logits, from_logits=True)
        right = tf.argmax(logits, axis=-1, output_type=tf.int32) == ids[:, 1:]
        return tf.where(mask[:, 1:], losses, 0.0), right & mask[:, 1:]

    def token_losses(self, ids, mask=None, training=False, seed=None):
        assert training
        assert seed is not None
        return self.token_scores(ids, mask)[0]


def _batch(scored):
    rng = np.random.default_rng(1)
    lengths = (9, 4, 6)
    documents = [rng.integers(0, SIZE, length) for length in lengths]
    flags = [rng.random(length) < 0.5 for length in lengths] if scored else None
    examples = Examples(IdDocuments.from_arrays(documents, flags), 8, "padded")
    return documents, flags or [np.ones(length, bool) for length in lengths], examples


@pytest.mark.parametrize("scored", [False, True])
def test_sums_are_over_targets_and_add_up_over_rows(scored):
    documents, flags, examples = _batch(scored)
    batch, model, task = examples.gather(tf.range(3, dtype=tf.int64)), _Bigrams(), IdLanguageModel(SIZE)
    assert len(batch) == 2 + scored
    losses, right = [], []
    for document, flag in zip(documents, flags, strict=True):
        for before, token, counts in zip(document, document[1:], flag[1:], strict=False):
            if counts:
                row = model.table[before].astype(np.float64)
                losses.append(np.log(np.exp(row).sum()) - row[token])
                right.append(row.argmax() == token)
    counts, sums = task.counts(batch), task.losses(model, batch, training=False)
    assert float(counts["tokens"]) == len(losses) == examples.tokens
    assert float(sums["right"]) == sum(right)
    np.testing.assert_allclose(sums["loss"], sum(losses), rtol=1e-5)
    training = task.losses(model, batch, training=True, seed=tf.constant([0, 1, 2]))
    assert sorted(training) == sorted(task.summed)
    np.testing.assert_allclose(training["loss"], sum(losses), rtol=1e-5)
    rows = [task.losses(model, examples.gather(tf.constant([row], tf.int64)), training=False) for row in range(3)]
    np.testing.assert_allclose(sum(float(row["loss"]) for row in rows), sum(losses), rtol=1e-5)
    found = task.metrics({name: float(value) for name, value in {**counts, **sums}.items()})
    assert found == {
        "bits_per_token": pytest.approx(np.mean(losses) / np.log(2)),
        "accuracy": pytest.approx(np.mean(right)),
    }
    assert [*found] == [*task.metric_directions]


def test_metrics_without_a_target_are_no_number():
    found = IdLanguageModel(SIZE).metrics({"tokens": 0.0, "loss": 0.0, "right": 0.0})
    assert all(np.isnan(value) for value in found.values())


def test_pairs_are_counted_for_small_vocabularies_only():
    documents = IdDocuments.from_arrays([[0, 1, 0, 1]])
    assert IdLanguageModel(2).refer(Corpus("ids", None, documents)) == {
        "entropy_order_0": pytest.approx(0.9182958),
        "entropy_order_1": 0.0,
    }
    task = IdLanguageModel(50_000)
    assert [*task.refer(Corpus("ids", None, documents))] == [*task.references] == ["entropy_order_0"]
    assert task.report_numbers == ("entropy_order_0", "bits_per_token", "bits_per_token_no_attention")


def test_the_entropies_are_those_of_the_layout():
    """In one stream, all firsts of documents but one are targets as well."""
    documents, of_packed = IdDocuments.from_arrays([[7, 1]] * 4), -(3 * np.log2(3 / 7) + 4 * np.log2(4 / 7)) / 7
    for layout, order_0 in (("packed", of_packed), ("padded", 0.0)):
        config = ConfigDict({"model": {"vocabulary_size": 8}, "data": {"layout": layout}})
        found = IdLanguageModel.from_config(config).refer(Corpus("ids", None, documents))
        assert found == {"entropy_order_0": pytest.approx(order_0), "entropy_order_1": 0.0}


@pytest.mark.parametrize(("prompt", "before", "text"), [("4, 5 6", [4, 5, 6], " 1 2"), ("", [3], "3 1 2")])
def test_a_sample_is_numbers_and_goes_on_from_the_first_id_without_a_prompt(prompt, before, text):
    asked = []
    model = types.SimpleNamespace(stream=lambda ids, **options: asked.append((ids, options)) or iter([1, 2]))
    config = ConfigDict({"sample": {"prompt": prompt, "tokens": 2, "temperature": 0.5}})
    config.model = ConfigDict({"vocabulary_size": SIZE})
    examples = Examples(IdDocuments.from_arrays([[3, 0, 0]]), 2, "padded")
    assert IdLanguageModel(SIZE).sample(model, config, examples) == text
    assert asked == [(before, {"max_new_tokens": 2, "sampler": "random", "temperature": 0.5, "seed": 0})]

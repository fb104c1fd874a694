"""Signatures of a model that makes targets of sources: `translate`, `score_pair`, and those for ids.

Shape letters: B batch, S length of the sources, L length of the targets, V target vocabulary, T tokens of the longest
text, N new tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.export import requests, translations
from reformer_tf.export.ids_signatures import EXAMPLE_LENGTH, Signature, embeddings, log_probabilities, mean_bits
from reformer_tf.export.independent_pairs import IndependentPairs
from reformer_tf.export.translations import Translations
from reformer_tf.generation import token_loop
from reformer_tf.layers.attention import registry
from reformer_tf.models import ReformerSeq2Seq
from reformer_tf.ops import graph_checks
from reformer_tf.tokenizers import Tokenizer

SOURCE_IDS, TARGET_IDS = (tf.TensorSpec([None, None], tf.int32, name) for name in ("source", "target"))
SOURCE, TARGET = (tf.TensorSpec([None], tf.string, name) for name in ("source", "target"))
_END = tf.TensorSpec([None], tf.int32, "end")


def make(model: ReformerSeq2Seq, tokenizer: Tokenizer | None, max_beams: int) -> dict[str, Signature]:
    """Makes the signatures of a model, by name. See `reformer_tf.export.export_saved_model`.

    A model has neither `translate` nor `translate_ids` if a kind of its decoder's attention layers cannot decode.

    Args:
        model: the model.
        tokenizer: of its sources and targets; None for ids alone.
        max_beams: the greatest `num_beams` of a request.
    """
    signatures = _Signatures(model, max_beams)
    made = {"predict": signatures.predict(), "embed": signatures.embed(), "score_pair_ids": signatures.score_pair_ids()}
    if tokenizer is not None:
        made["score_pair"] = signatures.score_pair(tokenizer)
    if all(registry.get(kind).capabilities.decoding_cache for kind in model.config["decoder_attention_layers"]):
        translates = signatures.translate_ids() if tokenizer is None else signatures.translate(tokenizer)
        made["translate_ids" if tokenizer is None else "translate"] = translates
    return made


class _Signatures:
    """Makes one signature after another."""

    def __init__(self, model: ReformerSeq2Seq, max_beams: int):
        self._config = model.config
        self._max_beams = max_beams
        self._rows = IndependentPairs(model)
        self._translations = Translations(model, self._rows)
        self._text_example = np.array([b"a"], object)

    def predict(self) -> Signature:
        @_graph(SOURCE_IDS, TARGET_IDS)
        def predict(source: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"logits": self._rows.logits(*self._pair_of_ids(source, target))}

        return self._of_ids(predict)

    def embed(self) -> Signature:
        @_graph(SOURCE_IDS)
        def embed(source: tf.Tensor) -> dict[str, tf.Tensor]:
            ids, lengths = self._ids(SOURCE_IDS, source)
            return embeddings(tf.cast(self._rows.context(ids, lengths), tf.float32), lengths)

        return Signature(embed, (SOURCE_IDS,), {"source": self._example_ids("source")})

    def score_pair_ids(self) -> Signature:
        @_graph(SOURCE_IDS, TARGET_IDS)
        def score_pair_ids(source: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
            pair = self._pair_of_ids(source, target)
            losses = self._rows.token_losses(*pair)
            return {"token_log_probabilities": log_probabilities(losses), "bits_per_token": mean_bits(losses, pair[-1])}

        return self._of_ids(score_pair_ids)

    def score_pair(self, tokenizer: Tokenizer) -> Signature:
        end = tokenizer.end  # Refuses a missing package before the work.

        @_graph(SOURCE, TARGET)
        def score_pair(source: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
            source, target = _texts(source), requests.with_rank(TARGET, target)
            target = graph_checks.checked(target, requests.one_a_row("target", target, source, "source"))
            sources = self._source_tokens(tokenizer, source)
            # The end of a target is a token of it.
            ids, lengths = tokenizer.encode(target, 1, self._config["max_target_length"] - 1, "target")
            ids = tf.pad(ids, [[0, 0], [0, 1]])
            is_text = tf.sequence_mask(lengths, tf.shape(ids)[1])
            losses = self._rows.token_losses(*sources, tf.where(is_text, ids, end), lengths + 1)
            of_text = tf.where(is_text, losses, 0.0)
            return {
                "bits_per_byte": mean_bits(of_text, tf.strings.length(target)),
                "token_log_probabilities": log_probabilities(losses),
            }

        return Signature(score_pair, (SOURCE, TARGET), {"source": self._text_example, "target": self._text_example})

    def translate(self, tokenizer: Tokenizer) -> Signature:
        @_graph(SOURCE, *translations.SPECS)
        def translate(source: tf.Tensor, *settings: tf.Tensor) -> dict[str, tf.Tensor]:
            source = _texts(source)
            chosen = self._settings(settings, source)
            sources = self._source_tokens(tokenizer, source)
            ends = tf.fill([tf.shape(source)[0], 1], tokenizer.end)
            ids = self._translations(*sources, chosen, ends)
            counts = tf.reduce_sum(tf.cast(ids != token_loop.NOTHING, tf.int32), axis=1)
            nothing = tf.zeros([tf.shape(source)[0], 0], tf.int32)
            text = tokenizer.decode(nothing, tf.zeros_like(counts), ids, counts)
            # A target that was cut may end within a character.
            return {"translation": tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")}

        example = {"source": np.repeat(self._text_example, 2), **self._example_settings()}
        return Signature(translate, (SOURCE, *translations.SPECS), example)

    def translate_ids(self) -> Signature:
        @_graph(SOURCE_IDS, _END, *translations.SPECS)
        def translate_ids(source: tf.Tensor, end: tf.Tensor, *settings: tf.Tensor) -> dict[str, tf.Tensor]:
            sources = self._ids(SOURCE_IDS, source)
            end, last = requests.with_rank(_END, end), self._config["target_vocabulary_size"] - 1
            rule = f"be from 0 to {last}, or -1 for none"
            ends = graph_checks.checked(
                end,
                requests.one_a_row("end", end, sources[0], "source"),
                graph_checks.between("end", end, -1, last, rule),
            )
            return {"target": self._translations(*sources, self._settings(settings, sources[0]), ends[:, None])}

        source = np.repeat(self._example_ids("source"), 2, axis=0)
        example = {"source": source, "end": np.array([-1, 0], np.int32), **self._example_settings()}
        return Signature(translate_ids, (SOURCE_IDS, _END, *translations.SPECS), example)

    def _settings(self, values: Sequence[tf.Tensor], source: tf.Tensor) -> translations.Settings:
        longest = self._config["max_target_length"]
        return translations.Settings.from_inputs(values, source, longest, self._max_beams)

    def _source_tokens(self, tokenizer: Tokenizer, source: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tokenizer.encode(source, 1, self._config["max_source_length"], "source")

    def _pair_of_ids(self, source: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, ...]:
        sources = self._ids(SOURCE_IDS, source)
        target = requests.with_rank(TARGET_IDS, target)
        target = graph_checks.checked(target, requests.one_a_row("target", target, sources[0], "source"))
        return *sources, *self._ids(TARGET_IDS, target)

    def _ids(self, spec: tf.TensorSpec, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size, longest = (self._config[name.format(spec.name)] for name in ("{}_vocabulary_size", "max_{}_length"))
        return requests.padded_ids(requests.with_rank(spec, value), size, 1, longest, spec.name)

    def _of_ids(self, function: Any) -> Signature:
        example = {spec.name: self._example_ids(spec.name) for spec in (SOURCE_IDS, TARGET_IDS)}
        return Signature(function, (SOURCE_IDS, TARGET_IDS), example)

    def _example_ids(self, name: str) -> np.ndarray:
        length = min(EXAMPLE_LENGTH, self._config[f"max_{name}_length"])
        return np.arange(length, dtype=np.int32)[None] % self._config[f"{name}_vocabulary_size"]

    def _example_settings(self) -> dict[str, np.ndarray]:
        """Of two rows, one token by token and, if a request may have several, one with beams."""
        most, beams = min(2, self._config["max_target_length"]), min(2, self._max_beams)
        rows = {
            "max_new_tokens": [most, most],
            "temperature": [1.0, 0.0],
            "top_k": [2, 0],
            "top_p": [0.9, 1.0],
            "seed": [0, 0],
            "num_beams": [1, beams],
            "length_penalty": [0.0, 0.6],
        }
        return {spec.name: np.array(rows[spec.name], spec.dtype.as_numpy_dtype) for spec in translations.SPECS}


def _texts(source: tf.Tensor) -> tf.Tensor:
    source = requests.with_rank(SOURCE, source)
    return graph_checks.checked(source, requests.has_rows("source", source))


def _graph(*specs: tf.TensorSpec) -> Any:
    return tf.function(input_signature=requests.any_rank_specs(specs), autograph=False)

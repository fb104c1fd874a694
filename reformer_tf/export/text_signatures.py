"""Signatures that take strings.

Shape letters: B batch, L length, V vocabulary size.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.export import requests, sampling
from reformer_tf.export.ids_signatures import Signature, log_probabilities, mean_bits
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.generation import decoder, token_loop
from reformer_tf.layers.attention import registry
from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import graph_checks
from reformer_tf.tokenizers import Tokenizer

TEXT = tf.TensorSpec([None], tf.string, name="text")


def make(model: ReformerCausalLM, rows: IndependentRows, tokenizer: Tokenizer) -> dict[str, Signature]:
    """Makes the signatures for strings, by name. See `reformer_tf.export.export_saved_model`.

    A model has no `generate` if a kind of its attention layers cannot decode.
    """
    score = Signature(_score(rows, tokenizer), (TEXT,), {"text": np.array([b"a"], object)})
    kinds = model.backbone.config["attention_layers"]
    if not all(registry.get(kind).capabilities.decoding_cache for kind in kinds):
        return {"score": score}
    # The shortest text leaves capacity for new tokens in every model.
    settings = {"max_new_tokens": min(2, rows.longest), "temperature": 1.0, "top_k": 2, "top_p": 0.9, "seed": 0}
    example = {spec.name: np.array([settings[spec.name]], spec.dtype.as_numpy_dtype) for spec in sampling.SPECS}
    example = {"text": np.array([b""], object), **example}
    generate = Signature(_generate(model, rows, tokenizer), (TEXT, *sampling.SPECS), example)
    return {"score": score, "generate": generate}


def _score(rows: IndependentRows, tokenizer: Tokenizer) -> Any:
    @tf.function(input_signature=requests.any_rank_specs([TEXT]), autograph=False)
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        text = requests.with_rank(TEXT, text)
        text = graph_checks.checked(text, requests.has_rows("text", text))
        # The last token is a target and no input, so the boundary fits in too.
        ids, lengths = tokenizer.encode(text, 1, rows.longest)
        losses = rows.token_losses(after_boundary(tokenizer, ids), lengths + 1)
        return {
            "bits_per_byte": mean_bits(losses, tf.strings.length(text)),
            "token_log_probabilities": log_probabilities(losses),
        }

    return score


def _generate(model: ReformerCausalLM, rows: IndependentRows, tokenizer: Tokenizer) -> Any:
    @tf.function(input_signature=requests.any_rank_specs([TEXT, *sampling.SPECS]), autograph=False)
    def generate(
        text: tf.Tensor,
        max_new_tokens: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        text = requests.with_rank(TEXT, text)
        text = graph_checks.checked(text, requests.has_rows("text", text))
        values = (max_new_tokens, temperature, top_k, top_p, seed)
        settings = sampling.Settings(*map(requests.with_rank, sampling.SPECS, values)).checked(text)
        # The last new token is no input, so the boundary fits in too.
        ids, lengths = tokenizer.encode(text, 0, rows.longest - 1)
        fits = tf.reduce_all(settings.max_new_tokens <= rows.longest - lengths)
        rule = f"`max_new_tokens` and the tokens of `text` must be at most {rows.longest} together in each row"
        limits = graph_checks.checked(settings.max_new_tokens, (fits, rule, settings.max_new_tokens))
        prompts, begun, steps = after_boundary(tokenizer, ids), lengths + 1, decoder.make_decoder(model)
        # The last new token is never fed.
        capacity = tf.maximum(tf.shape(prompts)[1], tf.reduce_max(begun + limits) - 1)
        logits, state = steps.prefill(prompts, begun, capacity)
        stops = tf.constant([tokenizer.boundary])
        new_ids = token_loop.go_on(steps, logits, state, begun, limits, settings.choose, stops)
        counts = tf.reduce_sum(tf.cast(new_ids != token_loop.NOTHING, tf.int32), axis=1)
        return {"generated_text_bytes": tokenizer.decode(ids, lengths, new_ids, counts)}

    return generate


def after_boundary(tokenizer: Tokenizer, ids: tf.Tensor) -> tf.Tensor:
    """Puts the boundary before each row, `[B, T]` to `[B, 1 + T]`."""
    return tf.pad(ids, [[0, 0], [1, 0]], constant_values=tokenizer.boundary)

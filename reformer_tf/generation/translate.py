"""Generates targets for sources: from lists of ids to lists of ids."""

from typing import Any

import numpy as np

from reformer_tf.generation import generate as continuing
from reformer_tf.generation import prompts, samplers, seq2seq_decoder
from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry

# Of translation models (Vaswani et al., 2017, section 6.1).
_BEAMS = {"num_beams": 4, "length_penalty": 0.6}


def generate(
    model: Any,
    sources: Any,
    max_new_tokens: int,
    sampler: str | samplers.Sampler | samplers.BeamSearch,
    seed: Any,
    stop_tokens: Any = (),
    **options: Any,
) -> list[list[int]]:
    """See `ReformerSeq2Seq.generate`; `model` is such a model."""
    rows = prompts.parse_rows(sources, model.config["source_vocabulary_size"], name="sources")
    if sampler == "beam":
        options = {**_BEAMS, **options}
    seeds, chosen = prompts.row_seeds(seed, len(rows)), samplers.get(sampler, **options)
    if model.encoder.ignores_padding:
        return Translation(model, rows, max_new_tokens, chosen, seeds, stop_tokens).all_tokens()
    # Padding would change what the encoder says of shorter sources.
    return [
        Translation(model, [row], max_new_tokens, chosen, seeds[index : index + 1], stop_tokens).all_tokens()[0]
        for index, row in enumerate(rows)
    ]


class Translation(continuing.Generation):
    """Generation of the targets of some sources. Arguments as in `ReformerSeq2Seq.generate`, sources checked."""

    make_decoder = staticmethod(seq2seq_decoder.make_decoder)

    def __init__(
        self,
        model: Any,
        sources: list[list[int]],
        max_new_tokens: int,
        sampler: samplers.Sampler | samplers.BeamSearch,
        seed: Any,
        stop_tokens: Any,
    ):
        registry.require_decoding(model.config["decoder_attention_layers"])
        arguments.positive_integer("max_new_tokens", max_new_tokens)
        longest, limit = max(map(len, sources)), model.config["max_source_length"]
        if longest > limit:
            raise ValueError(f"sources must fit max_source_length={limit}. Received: a source of {longest} ids")
        if max_new_tokens > model.config["max_target_length"]:
            raise ValueError(
                f"max_new_tokens must be at most max_target_length={model.config['max_target_length']}."
                f" Received: max_new_tokens={max_new_tokens}"
            )
        vocabulary = model.config["target_vocabulary_size"]
        # The vector before a target counts as a token of the target, without an id.
        begun = (np.zeros((len(sources), 0), np.int32), np.ones(len(sources), np.int32))
        super().__init__(model, sources, begun, max_new_tokens, max_new_tokens, vocabulary, sampler, seed, stop_tokens)

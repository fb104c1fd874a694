"""Translations for `trainer.generate`: the source that a command line gives, and the bytes of its translation."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
from ml_collections import ConfigDict

from reformer_tf.generation import samplers
from reformer_tf.tokenizers import Tokenizer
from trainer.commands import sampling
from trainer.data import tokenizers
from trainer.tasks.translator import Translator


class Source(NamedTuple):
    """A text that a model can translate.

    Attributes:
        ids: Its ids, at least one.
        tokens: The most tokens of the translation, with its end.
        tokenizer: Tokenizer of both sides.
    """

    ids: list[int]
    tokens: int
    tokenizer: Tokenizer


def read_source(config: ConfigDict, prompt: bytes, tokens: int | None) -> Source:
    """Checks a text to translate. It is not cut: a part of it would have another translation.

    Args:
        config: Config of a run of `sequence_to_sequence`.
        prompt: The text.
        tokens: The most tokens of the translation; None for what `config.translation` says.

    Raises:
        ValueError: If the text or the translation does not fit the model.
    """
    tokenizer = tokenizers.from_config(config.data)
    ids, longest = tokenizer.to_ids(prompt)[1:].tolist(), config.model.max_source_length  # Without the boundary.
    if not 1 <= len(ids) <= longest:
        raise ValueError(
            f"`prompt`, the text to translate, must have from 1 to {longest:,} tokens, "
            f"`config.model.max_source_length`. Received: {len(ids):,}"
        )
    most = config.model.max_target_length
    if tokens is None:
        tokens = config.translation.max_new_tokens or most
    if not 1 <= tokens <= most:
        raise ValueError(f"`tokens` must be from 1 to {most}, `config.model.max_target_length`. Received: {tokens}")
    return Source(ids, tokens, tokenizer)


def make_sampler(config: ConfigDict, name: str, settings: Mapping[str, Any]) -> samplers.Sampler | samplers.BeamSearch:
    """Makes the sampler of a command line, which has the options of `config.translation` if it is that one.

    Args:
        config: Config of a run of `sequence_to_sequence`.
        name: Name of the sampler.
        settings: Settings by name, instead of those of the config or the defaults.

    Raises:
        ValueError: As `sampling.make_sampler` does.
    """
    own, options = Translator.sampler_of(config)
    return sampling.make_sampler(name, {**(options if name == own else {}), **settings})


def translate(
    model: keras.Model, source: Source, sampler: samplers.Sampler | samplers.BeamSearch, seed: int
) -> Iterator[bytes]:
    """Translates a text.

    Args:
        model: A `ReformerSeq2Seq`.
        source: The text.
        sampler: The sampler.
        seed: The same seed gives the same translation.

    Returns:
        An iterator of the translation as a whole, if it is not empty.
    """
    end = source.tokenizer.end
    (row,) = model.generate([source.ids], max_new_tokens=source.tokens, sampler=sampler, seed=seed, stop_tokens=[end])
    text = source.tokenizer.to_bytes(row)
    return iter([text] if text else [])

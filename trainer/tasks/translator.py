"""Translates with a model of pairs of texts: always the same for the same weights, as nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf.tokenizers import Tokenizer
from trainer.data import tokenizers
from trainer.data.pair_examples import PairExamples

GREEDY, BEAM = "greedy", "beam"
SAMPLERS = (GREEDY, BEAM)
"""Samplers that draw nothing."""


class Translator:
    """Translates sources until the end of the target, or until there are so many tokens.

    Args:
        tokenizer: Tokenizer of both sides.
        max_new_tokens: The most tokens of a translation, with its end.
        sampler: One of `SAMPLERS`.
        options: Options of the sampler.
    """

    def __init__(self, tokenizer: Tokenizer, max_new_tokens: int, sampler: str = GREEDY, **options: Any):
        self._tokenizer = tokenizer
        self._options = {"max_new_tokens": max_new_tokens, "sampler": sampler, **options}

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        """Makes the translator of `config.translation`."""
        most = config.translation.max_new_tokens or config.model.max_target_length
        sampler, options = cls.sampler_of(config)
        return cls(tokenizers.from_config(config.data), most, sampler, **options)

    @staticmethod
    def sampler_of(config: ConfigDict) -> tuple[str, dict[str, Any]]:
        """Returns the name of the sampler of `config.translation`, and its options."""
        asked = config.translation
        options = {"num_beams": asked.num_beams, "length_penalty": asked.length_penalty}
        return asked.sampler, options if asked.sampler == BEAM else {}

    def translate(self, model: keras.Model, sources: Sequence[Sequence[int]]) -> list[str]:
        """Translates ids.

        Args:
            model: A `ReformerSeq2Seq`.
            sources: Ids of the sources, row by row.

        Returns:
            The texts, without what cannot be read: see `as_text`. Ids that stand for no text, such as the end, are left
            out.
        """
        rows = model.generate(sources, stop_tokens=[self._tokenizer.end], **self._options)
        return [as_text(self._tokenizer.to_bytes(row)) for row in rows]

    def translate_examples(
        self,
        model: keras.Model,
        examples: PairExamples,
        batch_size: int,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[str]:
        """Translates the sources of examples.

        Args:
            model: A `ReformerSeq2Seq`.
            examples: The examples.
            batch_size: Number of sources to translate at once. Sources of about the same length go together.
            progress: Called before each batch with the number of examples that are done.

        Returns:
            The texts, one for each example.
        """
        rows = [self._source(examples, index) for index in range(len(examples))]
        by_length = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        found: dict[int, str] = {}
        for first in range(0, len(rows), batch_size):
            progress(first)
            some = by_length[first : first + batch_size]
            found.update(zip(some, self.translate(model, [rows[index] for index in some]), strict=True))
        return [found[index] for index in range(len(rows))]

    @staticmethod
    def _source(examples: PairExamples, index: int) -> list[int]:
        ids, mask, *_ = examples.gather(tf.constant([index], tf.int64))
        return ids.numpy()[mask.numpy()].tolist()


def as_text(content: bytes) -> str:
    """Decodes a text. Bytes that are not UTF-8 become replacement characters."""
    return content.decode("utf-8", errors="replace")


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """Computes the fraction of translations that are the reference, character by character; not a number without any.

    Example:
        >>> exact_match(["one", "two "], ["one", "two"])
        0.5
    """
    pairs = zip(translations, references, strict=True)
    return float(np.mean([one == other for one, other in pairs])) if references else float("nan")

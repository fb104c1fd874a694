"""Numbers and their German words, made from a seed: `config.data.name = "number_words"`."""

from __future__ import annotations

import ml_collections
import numpy as np

from trainer.data.corpora import generated_checks
from trainer.data.corpora.corpus import Corpus
from trainer.data.generated.number_words import LIMIT, LONGEST_DIGITS, LONGEST_WORDS, german, number_words
from trainer.data.pair_documents import PairDocuments
from trainer.field_checks import check

FIELDS = ("examples", "validation_examples", "seed")


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Makes numbers in digits, the sources, and in German words, the targets; no number is in both parts.

    Args:
        config: `config.data`, with `FIELDS`.

    Returns:
        The corpus, of `PairDocuments`.

    Raises:
        ValueError: If a field is out of its range.
    """
    train, validation = number_words(config.examples, config.validation_examples, config.seed)
    return Corpus(f"German number words, seed {config.seed}", _documents(train), _documents(validation))


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If one breaks a rule.
    """
    generated_checks.check_counts(config)
    data = config.data
    most = LIMIT - data.examples
    rule = f"must be at most {most}, the numbers that `config.data.examples` leaves"
    check(config, "data.validation_examples", rule, most.__ge__)
    if data.tokens == "bytes":  # Other tokenizers may take fewer ids.
        least = LONGEST_WORDS + 1
        rule = f"must be at least {least}, the bytes of the longest words and their end"
        check(config, "train.sequence_length", rule, least.__le__)
        rule = f"must be 0 or at least {LONGEST_DIGITS}, the digits of the longest number"
        check(config, "data.source_length", rule, lambda value: value == 0 or value >= LONGEST_DIGITS)


def _documents(numbers: np.ndarray) -> PairDocuments:
    pairs = ((str(number), german(number)) for number in numbers.tolist())
    return PairDocuments.from_pairs((digits.encode(), words.encode()) for digits, words in pairs)

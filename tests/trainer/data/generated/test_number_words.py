"""German number words: beside words that people wrote, and a slow parser of words that knows no formula for them."""

from collections import Counter

import numpy as np
import pytest

from trainer.data.datasets import load_corpus
from trainer.data.generated.number_words import LONGEST_WORDS, german, number_words

WORDS = {
    0: "null",
    1: "eins",
    2: "zwei",
    7: "sieben",
    10: "zehn",
    11: "elf",
    12: "zwölf",
    13: "dreizehn",
    16: "sechzehn",
    17: "siebzehn",
    20: "zwanzig",
    21: "einundzwanzig",
    30: "dreißig",
    35: "fünfunddreißig",
    60: "sechzig",
    66: "sechsundsechzig",
    77: "siebenundsiebzig",
    99: "neunundneunzig",
    100: "einhundert",
    101: "einhunderteins",
    111: "einhundertelf",
    212: "zweihundertzwölf",
    371: "dreihunderteinundsiebzig",
    700: "siebenhundert",
    1000: "eintausend",
    1001: "eintausendeins",
    1100: "eintausendeinhundert",
    1984: "eintausendneunhundertvierundachtzig",
    10_000: "zehntausend",
    11_011: "elftausendelf",
    21_001: "einundzwanzigtausendeins",
    40_213: "vierzigtausendzweihundertdreizehn",
    100_000: "einhunderttausend",
    101_101: "einhunderteintausendeinhunderteins",
    321_456: "dreihunderteinundzwanzigtausendvierhundertsechsundfünfzig",
    999_999: "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
}
# The values of all parts of words; a longer part is looked for first.
PARTS = dict(
    zip(
        ["null", "ein", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "elf", "zwölf"],
        [0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12],
        strict=True,
    )
) | {"zwan": 2, "sech": 6, "sieb": 7}


def _parsed(words):
    """Adds up a word from left to right: units stand before "und", factors before "hundert" and "tausend"."""
    total, current, rest = 0, 0, words
    while rest:
        if rest.startswith("tausend"):
            total, current, rest = current * 1000, 0, rest[7:]
        elif rest.startswith("hundert"):
            current, rest = current * 100, rest[7:]
        elif rest.startswith("und"):
            rest = rest[3:]
        elif rest.startswith("zehn"):
            current, rest = current + 10, rest[4:]
        else:
            part = max((part for part in PARTS if rest.startswith(part)), key=len)
            value, rest = PARTS[part], rest[len(part) :]
            for ten in ("zig", "ßig"):
                if rest.startswith(ten):
                    value, rest = value * 10, rest[3:]
            current += value
    return total + current


@pytest.mark.parametrize(("number", "words"), WORDS.items())
def test_words_that_people_wrote(number, words):
    assert german(number) == words
    assert _parsed(words) == number


def test_words_stand_for_their_numbers():
    numbers = [*range(3000), *range(99_900, 101_200), *range(3000, 10**6, 331)]
    words = [german(number) for number in numbers]
    assert [*map(_parsed, words)] == numbers
    assert len({*words}) == len({*numbers})
    assert max(len(word.encode()) for word in words) <= LONGEST_WORDS == len(german(737_757).encode())


@pytest.mark.parametrize("number", [-1, 1_000_000, 1.5, True])
def test_other_numbers_are_refused(number):
    with pytest.raises(ValueError, match=r"`number` must be an integer from 0 to 999999. Received: number="):
        german(number)


def test_lengths_are_as_even_as_can_be():
    train, validation = number_words(3000, 600, seed=3)
    counts = [Counter(len(str(number)) for number in part) for part in (train, validation)]
    assert [sum(count[digits] for count in counts) for digits in range(1, 7)] == [10, 90, 875, 875, 875, 875]
    assert [counts[1][digits] for digits in range(1, 7)] == [1, 15, 146, 146, 146, 146]
    numbers = np.concatenate([train, validation])
    assert len({*numbers.tolist()}) == len(numbers) == 3600
    assert (numbers.min(), numbers.dtype) == (0, np.int64)
    assert Counter(len(str(number)) for number in train[:60])[6] < 40  # Not sorted by length.


def test_the_seed_decides_the_numbers():
    first, again, other = (number_words(50, 5, seed)[0].tolist() for seed in (0, 0, 1))
    assert first == again != other
    with pytest.raises(ValueError, match=r"must be at most 1,000,000 together, .* Received: 999999 and 2"):
        number_words(999_999, 2)


def test_the_source():
    config = {"name": "number_words", "examples": 40, "validation_examples": 10, "seed": 4}
    corpus = load_corpus(config)
    assert (len(corpus.train), len(corpus.validation)) == (40, 10)
    assert corpus.name == "German number words, seed 4"
    pairs = zip(corpus.train.sources, corpus.train.targets, strict=True)
    assert all(german(int(source)).encode() == target for source, target in pairs)
    assert {*corpus.train.sources}.isdisjoint({*corpus.validation.sources})
    assert load_corpus(config).train.fingerprint == corpus.train.fingerprint

"""Numbers in digits and in German words: "40213" is "vierzigtausendzweihundertdreizehn".

A small translation whose every word is known: digits are written out in another sequence (units before tens), and the
form of a one depends on what follows it ("eins", "einundzwanzig", "eintausend").

The words are those of the standard orthography, in one word and with no option left open: a one before "hundert" and
"tausend" is always said ("einhundert", "eintausend", where "hundert" and "tausend" would be right, too), and no "und"
comes after hundreds or thousands ("einhunderteins", not "hundertundeins").
"""

import numpy as np

from trainer.data.generated import streams

LIMIT = 1_000_000
"""Numbers are below it."""

LONGEST_DIGITS = 6
LONGEST_WORDS = 67
"""Bytes of the longest source and of the longest target, in UTF-8."""

_UNITS = (
    *("null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"),
    *("dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
)
_TENS = ("", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")


def german(number: int) -> str:
    """Writes a number in German words.

    Args:
        number: From 0 to 999,999.

    Raises:
        ValueError: If it is not.

    Examples:
        >>> german(1), german(101), german(21_001)
        ('eins', 'einhunderteins', 'einundzwanzigtausendeins')
    """
    streams.check_integer("number", number, least=0, most=LIMIT - 1)
    if number == 0:
        return _UNITS[0]
    thousands, rest = divmod(number, 1000)
    words = (f"{_below_thousand(thousands)}tausend" if thousands else "") + _below_thousand(rest)
    return f"{words}s" if rest % 100 == 1 else words  # A one at the end is "eins".


def number_words(examples: int, validation_examples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws different numbers, none of them in both parts.

    There are about as many of one digit, of two, and so on to six, as far as there are so many: of 11,000 numbers, 10
    have one digit, 90 two, 900 three, and of each greater length there are a third of the rest. Both parts have the
    same mixture.

    Args:
        examples: How many to train on, N.
        validation_examples: How many to validate on, V.
        seed: Seed of the data set.

    Returns:
        `[N]` and `[V]` int64.

    Raises:
        ValueError: If an argument is out of its range, or there are not so many numbers.

    Examples:
        >>> train, validation = number_words(examples=6, validation_examples=6)
        >>> sorted(len(str(number)) for number in validation)
        [1, 2, 3, 4, 5, 6]
    """
    streams.check_integer("examples", examples, least=1)
    streams.check_integer("validation_examples", validation_examples, least=1)
    total = examples + validation_examples
    if total > LIMIT:
        raise ValueError(
            f"`examples` and `validation_examples` must be at most {LIMIT:,} together, the numbers there are. "
            f"Received: {examples} and {validation_examples}"
        )
    stream = streams.make_stream("number_words", seed, "train")
    bounds = np.array([0, *(10**digits for digits in range(1, LONGEST_DIGITS + 1))])
    counts = _even_counts(total, np.diff(bounds))
    # The numbers to validate on of the lengths so far are as many as their part of all, rounded.
    ends = np.cumsum(counts) * validation_examples // total
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for first, stop, count, held_out in zip(bounds, bounds[1:], counts, np.diff(ends, prepend=0), strict=False):
        drawn = _permuted(np.arange(first, stop), stream)[:count]
        parts[0].append(drawn[held_out:])
        parts[1].append(drawn[:held_out])
    train, validation = (_permuted(np.concatenate(part), stream) for part in parts)
    return train, validation


def _permuted(values: np.ndarray, stream: np.random.RandomState) -> np.ndarray:
    return values[np.argsort(stream.random_sample(len(values)), kind="stable")]


def _even_counts(total: int, available: np.ndarray) -> np.ndarray:
    """Divides a number as evenly as it can be among ascending capacities."""
    counts: list[int] = []
    for index, capacity in enumerate(available.tolist()):
        counts.append(min(capacity, (total - sum(counts)) // (len(available) - index)))
    return np.array(counts)


def _below_thousand(number: int) -> str:
    """The words of a number, empty for 0, in which a one at the end is "ein"."""
    hundreds, rest = divmod(number, 100)
    words = f"{_UNITS[hundreds]}hundert" if hundreds else ""
    if rest < len(_UNITS):
        return words + (_UNITS[rest] if rest else "")
    tens, units = divmod(rest, 10)
    return words + (f"{_UNITS[units]}und" if units else "") + _TENS[tens]

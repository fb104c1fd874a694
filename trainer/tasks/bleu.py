"""BLEU of translations (Papineni et al., 2002) by sacrebleu (Post, 2018), so that figures can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""Tokenizers of sacrebleu that need nothing else: mteval-v13a's, the international one, Chinese, characters, blanks."""


class Bleu(NamedTuple):
    """A score and how it was computed."""

    score: float
    """From 0 to 100; not a number without any text."""
    signature: str
    """The references, tokenizer, smoothing and version, in the words of sacrebleu. Quote it beside a score."""


def require_sacrebleu() -> None:
    """Checks that BLEU can be computed, before any long work.

    Raises:
        ValueError: If the package sacrebleu is not installed.
    """
    try:
        import sacrebleu  # noqa: F401 (whether it is there)
    except ImportError as error:
        raise ValueError(
            "BLEU takes the package sacrebleu, which the extra `translation` installs. Received: an environment without"
        ) from error


def corpus_bleu(translations: Sequence[str], references: Sequence[str], tokenizer: str = "13a") -> Bleu:
    """Computes BLEU of a corpus from text as people write it, of up to four tokens in a row.

    Args:
        translations: The translations, detokenised.
        references: As many references, one for each.
        tokenizer: One of `TOKENIZERS`, which splits both. Figures of different ones cannot be compared.

    Raises:
        ValueError: If the numbers differ, or the package sacrebleu is not installed.

    Example:
        >>> corpus_bleu(["the cat sat on the mat"], ["the cat sat on the mat"]).score
        100.0
    """
    if len(translations) != len(references):
        raise ValueError(
            f"`references` must be as many as the translations, {len(translations)}. Received: {len(references)}"
        )
    require_sacrebleu()
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=tokenizer)
    score = metric.corpus_score([*translations], [[*references]]).score if references else math.nan
    if not references:
        metric.num_refs = 1  # The signature has it, and only a score sets it.
    return Bleu(min(score, 100.0), str(metric.get_signature()))

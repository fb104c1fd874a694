"""BLEU: figures by hand, and what is said where it cannot be computed."""

import math
import sys

import pytest

from trainer.tasks import bleu

REFERENCE = "the quick brown fox jumps over the lazy dog"


def test_the_figure_by_hand():
    """One word of nine is another: 8/9 words, 6/8 pairs, 4/7 triples, 2/6 fours; equal lengths, so no penalty."""
    pytest.importorskip("sacrebleu")
    found = bleu.corpus_bleu(["the quick brown cat jumps over the lazy dog"], [REFERENCE])
    expected = 100 * math.exp(sum(math.log(part) for part in (8 / 9, 6 / 8, 4 / 7, 2 / 6)) / 4)
    assert found.score == pytest.approx(expected)
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_counts_are_summed_over_the_corpus():
    """A translation without a pair of words in common takes from the corpus, and is no zero of its own."""
    pytest.importorskip("sacrebleu")
    found = bleu.corpus_bleu([REFERENCE, "fox"], [REFERENCE, "dog"]).score
    assert 0.0 < found < 100.0
    assert bleu.corpus_bleu([REFERENCE] * 2, [REFERENCE] * 2).score == 100.0


def test_short_translations_are_penalised():
    pytest.importorskip("sacrebleu")
    found = bleu.corpus_bleu(["the quick brown fox jumps"], [REFERENCE]).score
    assert found == pytest.approx(100 * math.exp(1 - 9 / 5))


def test_text_of_people_is_split_by_sacrebleu():
    pytest.importorskip("sacrebleu")
    found = bleu.corpus_bleu(["Well, he said so."], ["Well , he said so ."])
    assert found.score == pytest.approx(100.0)


def test_characters_as_tokens():
    """Of single words, whose pairs of words are none."""
    pytest.importorskip("sacrebleu")
    assert bleu.corpus_bleu(["einundzwanzig"], ["einundzwanzig"]).score == 0.0
    found = bleu.corpus_bleu(["einundzwanzig"], ["einundzwanzig"], "char")
    assert found.score == pytest.approx(100.0)
    assert "|tok:char|" in found.signature


@pytest.mark.parametrize("tokenizer", bleu.TOKENIZERS)
def test_every_tokenizer_is_there(tokenizer):
    pytest.importorskip("sacrebleu")
    assert bleu.corpus_bleu(["a b c d e"], ["a b c d e"], tokenizer).score == pytest.approx(100.0)


def test_no_text():
    pytest.importorskip("sacrebleu")
    found = bleu.corpus_bleu([], [])
    assert math.isnan(found.score)
    assert found.signature == bleu.corpus_bleu(["a"], ["a"]).signature


def test_other_numbers_of_texts():
    with pytest.raises(ValueError, match="`references` must be as many as the translations, 2. Received: 1"):
        bleu.corpus_bleu(["a", "b"], ["a"])


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ValueError, match=r"sacrebleu, which the extra `translation` installs. Received: an environ"):
        bleu.corpus_bleu(["a"], ["a"])

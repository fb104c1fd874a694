"""Small SentencePiece models for the tests."""

import pathlib
import random

import pytest


def train(folder: pathlib.Path, **options) -> pathlib.Path:
    """Trains a model on made-up words, of which `text.txt` beside it is made; skips where the package is missing."""
    sentencepiece = pytest.importorskip("sentencepiece")
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(40)]
    (folder / "text.txt").write_text("\n".join(" ".join(rng.choices(words, k=8)) for _ in range(200)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "spiece"), minloglevel=2, **options
    )
    return folder / "spiece.model"

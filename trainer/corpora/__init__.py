"""Where text comes from: one file a kind, each with `load(config_data) -> Corpus`."""

from __future__ import annotations

from collections.abc import Callable

import ml_collections

from trainer.corpora import text_files, tfds_text
from trainer.corpora.corpus import Corpus

__all__ = ["CORPORA", "Corpus"]


def _python_stdlib(config: ml_collections.ConfigDict) -> Corpus:
    from trainer.corpora import python_stdlib  # imports TFDS, which takes seconds: only where it is needed

    return python_stdlib.load(config)


# config.data.name -> loader
CORPORA: dict[str, Callable[[ml_collections.ConfigDict], Corpus]] = {
    "python_stdlib": _python_stdlib,
    "text": text_files.load,
    "tfds": tfds_text.load,
}

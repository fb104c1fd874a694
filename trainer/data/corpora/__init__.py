"""Sources of text: one module a kind, each with `load(config_data) -> Corpus`.

A kind whose parts fields of the config name also has `scored(config_data, overrides) -> Scored`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import ml_collections

from trainer.data.corpora import python_stdlib, text_files, tfds_text
from trainer.data.corpora.corpus import Corpus, Scored

__all__ = ["CORPORA", "SCORED", "Corpus", "Scored"]


# config.data.name -> loader
CORPORA: dict[str, Callable[[ml_collections.ConfigDict], Corpus]] = {
    "python_stdlib": python_stdlib.load,
    "text": text_files.load,
    "tfds": tfds_text.load,
}

# config.data.name -> loader of the documents to score; other kinds score their validation documents
SCORED: dict[str, Callable[[ml_collections.ConfigDict, Collection[str]], Scored]] = {
    "text": text_files.scored,
    "tfds": tfds_text.scored,
}

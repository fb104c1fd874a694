"""Tokenizers: how text becomes ids.

A tokenizer defines the ids of a text, the boundary id before each document, and the number of bytes that each id stands
for, so that losses can be reported in bits per byte.

Shape letters: T ids of all documents together, D documents.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from reformer_tf import local_paths
from trainer.data import documents as text


@dataclasses.dataclass(frozen=True)
class NumberedDocuments:
    """Documents in the ids of a tokenizer, one after another, each after its boundary; see `documents.Documents`.

    Attributes:
        ids: `[T]` integers.
        offsets: `[D + 1]` int64, position of each document's boundary in `ids`, and T.
        num_bytes: Bytes of all documents together.
    """

    ids: np.ndarray
    offsets: np.ndarray
    num_bytes: int

    def __len__(self) -> int:
        return len(self.offsets) - 1


Documents = text.Documents | NumberedDocuments


class Tokenizer(Protocol):
    """Interface of a tokenizer."""

    name: str
    vocabulary_size: int
    """Number of ids that a model must have at least."""
    boundary: int
    """The id that stands before a document."""
    byte_counts: np.ndarray
    """`[vocabulary_size]` float32, number of bytes that each id stands for; 0 for the boundary."""

    def encode(self, prompt: str | bytes) -> np.ndarray:
        """Turns one text into ids, int32, beginning with the boundary."""

    def decode(self, ids: Sequence[int]) -> bytes:
        """Turns ids into text; ids that stand for no text are left out."""

    def documents(self, documents: text.Documents) -> Documents:
        """Turns documents into the ids of this tokenizer."""


class ByteTokenizer:
    """A tokenizer with one id for each byte.

    Args:
        name: name of the tokenizer.
        first: the id of byte 0; the others follow.
        boundary: the id that stands before a document.
    """

    def __init__(self, name: str, first: int, boundary: int):
        self.name = name
        self.first = first
        self.boundary = boundary
        self.vocabulary_size = max(first + 256, boundary + 1)
        self.byte_counts = np.zeros(self.vocabulary_size, np.float32)
        self.byte_counts[first : first + 256] = 1.0

    def encode(self, prompt: str | bytes) -> np.ndarray:
        return self._renumbered(text.encode(prompt)).astype(np.int32)

    def decode(self, ids: Sequence[int]) -> bytes:
        values = np.asarray(ids, np.int64).reshape(-1) - self.first
        return values[(values >= 0) & (values < 256)].astype(np.uint8).tobytes()

    def documents(self, documents: text.Documents) -> Documents:
        if self.first == 0 and self.boundary == text.BOUNDARY:
            return documents
        return NumberedDocuments(self._renumbered(documents.ids), documents.offsets, documents.num_bytes)

    def _renumbered(self, ids: np.ndarray) -> np.ndarray:
        """Maps the ids of `trainer.data.documents` to those of this tokenizer."""
        return np.where(ids == text.BOUNDARY, self.boundary, ids + self.first).astype(np.uint16)


class SentencePieceTokenizer:
    """The tokenizer of a SentencePiece model. The package `sentencepiece` must be installed.

    It normalises text (several blanks become one, for instance); bytes are those of the normalised text. A document
    begins with id 0, as the sequences of the released models did.

    Args:
        path: the file, often `spiece.model`.

    Raises:
        ValueError: if the package or the file is missing, or the file is no such model.
    """

    name = "sentencepiece"
    boundary = 0

    def __init__(self, path: str | os.PathLike[str]):
        try:
            import sentencepiece
        except ImportError as error:
            raise ValueError(
                "A SentencePiece model needs the package sentencepiece. Received: an environment without it"
            ) from error
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_file=os.fspath(path))
        except (OSError, RuntimeError) as error:
            raise ValueError(f"config.data.sentencepiece_model must be such a file. Received: {path!r}") from error
        self.vocabulary_size = self._model.get_piece_size()
        self.byte_counts = np.array([self._byte_count(i) for i in range(self.vocabulary_size)], np.float32)

    def encode(self, prompt: str | bytes) -> np.ndarray:
        as_text = prompt.decode("utf-8", errors="replace") if isinstance(prompt, bytes) else prompt
        return np.array([self.boundary, *self._model.encode(as_text)], np.int32)

    def decode(self, ids: Sequence[int]) -> bytes:
        known = [int(i) for i in ids if 0 <= i < self.vocabulary_size and self.byte_counts[i]]
        text_first = list(itertools.takewhile(lambda i: not self._model.is_byte(i), known))
        # The model drops a blank at the beginning, and replaces bytes that are not yet complete UTF-8 characters.
        rest = (self._written(i) for i in known[len(text_first) :])
        return b"".join([self._model.decode(text_first).encode("utf-8"), *rest])

    def documents(self, documents: text.Documents) -> Documents:
        parts = [self.encode(document) for document in documents]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts])])
        ids = np.concatenate(parts)
        return NumberedDocuments(ids, offsets, int(self.byte_counts[ids].sum()))

    def _byte_count(self, index: int) -> int:
        if self._model.is_control(index) or self._model.is_unknown(index) or self._model.is_unused(index):
            return 0
        return len(self._written(index))

    def _written(self, index: int) -> bytes:
        piece = self._model.id_to_piece(index)
        if self._model.is_byte(index):
            return bytes([int(piece.removeprefix("<0x").removesuffix(">"), 16)])
        return piece.replace("\u2581", " ").encode("utf-8")


BYTES = ByteTokenizer("bytes", first=0, boundary=text.BOUNDARY)
# The ids of the released enwik8 model, whose sequences began with a 0.
SHIFTED_BYTES = ByteTokenizer("shifted_bytes", first=2, boundary=0)
_BYTE_TOKENIZERS = {tokenizer.name: tokenizer for tokenizer in (BYTES, SHIFTED_BYTES)}
NAMES = (*_BYTE_TOKENIZERS, SentencePieceTokenizer.name)
_load_sentencepiece = functools.lru_cache(maxsize=4)(SentencePieceTokenizer)


def from_config(data: Mapping[str, Any]) -> Tokenizer:
    """Returns the tokenizer that `config.data` names.

    Raises:
        ValueError: if there is no such tokenizer, or it cannot be used.
    """
    name = data.get("tokens", BYTES.name)  # Runs older than the field have bytes.
    if name == SentencePieceTokenizer.name:
        path = data.get("sentencepiece_model", "")
        return _load_sentencepiece(os.fspath(local_paths.checked("config.data.sentencepiece_model", path)))
    if name not in _BYTE_TOKENIZERS:
        raise ValueError(f"config.data.tokens must be one of {', '.join(NAMES)}. Received: {name!r}")
    return _BYTE_TOKENIZERS[name]

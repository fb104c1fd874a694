"""A tokenizer with the pieces of a SentencePiece model; in a graph it is made of the operations of TensorFlow Text.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

import functools
import hashlib
import importlib.util
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.ops import graph_checks


class SentencePieceTokenizer:
    """A tokenizer with the pieces of a SentencePiece model.

    The package sentencepiece must be installed for texts in Python. For an export, of which the model becomes a part,
    it is TensorFlow Text, which must also be linked in or imported wherever the export is loaded, even for its
    signatures without text; there texts must be UTF-8.

    The model normalises texts (several blanks become one, for instance): bytes are those of the normalised text, and
    generated text continues it. A text begins with id 0, as the sequences of the released models did.

    Args:
        path: the file, often `spiece.model`.
        boundary: the id that stands before a text.

    Raises:
        ValueError: if both packages or the file are missing, or the file is no such model. Methods raise it if the
            package is missing that they need.

    Example:
        >>> from reformer_tf.export import export_saved_model
        >>> from reformer_tf.models import ReformerCausalLM
        >>> tokenizer = SentencePieceTokenizer("spiece.model")  # doctest: +SKIP
        >>> model = ReformerCausalLM(tokenizer.vocabulary_size, 64, 1, 16, 2, 8, 32, ["local"])  # doctest: +SKIP
        >>> str(export_saved_model(model, "models/reformer", tokenizer))  # doctest: +SKIP
        'models/reformer/1'
    """

    def __init__(self, path: str | os.PathLike[str], boundary: int = 0):
        self.boundary = arguments.non_negative_integer("boundary", boundary)
        if not any(map(importlib.util.find_spec, ("sentencepiece", "tensorflow_text"))):
            raise ValueError(
                "Text in pieces takes the package sentencepiece in Python, and tensorflow-text in an export."
                " Received: an environment without both"
            )
        try:
            self._model = pathlib.Path(path).read_bytes()
            has_package = importlib.util.find_spec("sentencepiece") is not None
            size = self._processor.get_piece_size() if has_package else self._operations.vocab_size()
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            raise ValueError(f"path must be the file of a SentencePiece model. Received: path={path!r}") from error
        self.vocabulary_size = max(int(size), boundary + 1)

    @functools.cached_property
    def byte_counts(self) -> np.ndarray:
        """See `Tokenizer.byte_counts`."""
        counts = np.zeros([self.vocabulary_size], np.float32)
        for index in range(self._processor.get_piece_size()):
            counts[index] = self._byte_count(index)
        counts[self.boundary] = 0  # It may be the id of a piece.
        return counts

    @functools.cached_property
    def end(self) -> int:
        """See `Tokenizer.end`: the model's piece for the end of a sentence, or the boundary if it has none."""
        found = self._processor.eos_id()
        return found if found >= 0 else self.boundary

    def to_ids(self, text: str | bytes) -> np.ndarray:
        """See `Tokenizer.to_ids`."""
        as_text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
        return np.array([self.boundary, *self._processor.encode(as_text)], np.int32)

    def to_bytes(self, ids: Sequence[int] | np.ndarray) -> bytes:
        """See `Tokenizer.to_bytes`."""
        known = [int(i) for i in ids if 0 <= i < self.vocabulary_size and self.byte_counts[i]]
        text_first = list(itertools.takewhile(lambda i: not self._processor.is_byte(i), known))
        # The model drops a blank at the beginning, and replaces bytes that are not yet complete UTF-8 characters.
        rest = (self._written(i) for i in known[len(text_first) :])
        return b"".join([self._processor.decode(text_first).encode("utf-8"), *rest])

    @property
    def resources(self) -> list[Any]:
        """See `Tokenizer.resources`."""
        return [self._operations]

    def encode(self, text: tf.Tensor, shortest: int, longest: int, name: str = "text") -> tuple[tf.Tensor, tf.Tensor]:
        """See `Tokenizer.encode`."""
        valid = tf.equal(tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore"), text)
        # The message does not hold the text itself, since messages must be UTF-8 too.
        received = tf.strings.join(["other bytes in row ", tf.strings.as_string(tf.argmin(tf.cast(valid, tf.int32)))])
        text = graph_checks.checked(text, (tf.reduce_all(valid), f"`{name}` must be UTF-8", received))
        pieces = self._operations.tokenize(text)
        lengths = tf.cast(pieces.row_lengths(), tf.int32)
        rule = f"have from {shortest} to {longest} pieces a row"
        ids = graph_checks.checked(pieces.to_tensor(), graph_checks.between(name, lengths, shortest, longest, rule))
        return ids, lengths

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """See `Tokenizer.decode`."""
        before = tf.RaggedTensor.from_tensor(ids, lengths)
        new = tf.RaggedTensor.from_tensor(new_ids, counts)
        new = tf.ragged.boolean_mask(new, new != self.boundary)
        # Decoded without the text before it, the first new piece would lose its leading blank.
        start = tf.strings.length(self._operations.detokenize(before))
        text = self._operations.detokenize(tf.concat([before, new], axis=1))
        return tf.strings.substr(text, start, tf.strings.length(text) - start)

    def describe(self) -> dict[str, Any]:
        """See `Tokenizer.describe`."""
        fingerprint = hashlib.sha256(self._model).hexdigest()
        return {"kind": "sentencepiece", "boundary": self.boundary, "sha256": fingerprint}

    @functools.cached_property
    def _processor(self) -> Any:
        """The model in the package sentencepiece."""
        try:
            import sentencepiece
        except ImportError as error:
            raise ValueError(
                "Text in pieces takes the package sentencepiece in Python. Received: an environment without"
            ) from error
        return sentencepiece.SentencePieceProcessor(model_proto=self._model)

    @functools.cached_property
    def _operations(self) -> Any:
        """The model in TensorFlow Text."""
        try:
            import tensorflow_text
        except ImportError as error:
            raise ValueError(
                "Text in pieces takes the package tensorflow-text in an export. Received: an environment without"
            ) from error
        return tensorflow_text.SentencepieceTokenizer(self._model)

    def _byte_count(self, index: int) -> int:
        model = self._processor
        without_text = model.is_control(index) or model.is_unknown(index) or model.is_unused(index)
        return 0 if without_text else len(self._written(index))

    def _written(self, index: int) -> bytes:
        piece = self._processor.id_to_piece(index)
        if self._processor.is_byte(index):
            return bytes([int(piece.removeprefix("<0x").removesuffix(">"), 16)])
        return piece.replace("\u2581", " ").encode("utf-8")

"""A tokenizer with the pieces of a SentencePiece model, made of the operations of TensorFlow Text.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

import hashlib
import os
import pathlib
from typing import Any

import tensorflow as tf

from reformer_tf.export import requests
from reformer_tf.layers import arguments


class SentencePieceTokenizer:
    """A tokenizer with the pieces of a SentencePiece model, which becomes a part of the export.

    TensorFlow Text must be installed here, and linked in or imported wherever the export is loaded, also for its
    signatures without text. Texts must be UTF-8; the model normalises them, and generated text continues the
    normalised text.

    Args:
        path: the file, often `spiece.model`.
        boundary: the id that stands before a text.

    Raises:
        ValueError: if TensorFlow Text or the file is missing, or the file is no such model.

    Example:
        >>> from reformer_tf.export import export_saved_model
        >>> from reformer_tf.models import ReformerCausalLM
        >>> tokenizer = SentencePieceTokenizer("spiece.model")  # doctest: +SKIP
        >>> model = ReformerCausalLM(tokenizer.vocabulary_size, 64, 1, 16, 2, 8, 32, ["local"])  # doctest: +SKIP
        >>> str(export_saved_model(model, "models/reformer", tokenizer))  # doctest: +SKIP
        'models/reformer/1'
    """

    def __init__(self, path: str | os.PathLike[str], boundary: int = 0):
        try:
            import tensorflow_text
        except ImportError as error:
            raise ValueError(
                "Text in pieces takes the package tensorflow-text. Received: an environment without"
            ) from error
        self.boundary = arguments.non_negative_integer("boundary", boundary)
        try:
            model = pathlib.Path(path).read_bytes()
            self._pieces = tensorflow_text.SentencepieceTokenizer(model)
            size = int(self._pieces.vocab_size())
        except (OSError, tf.errors.OpError) as error:
            raise ValueError(f"path must be the file of a SentencePiece model. Received: path={path!r}") from error
        self.resources = [self._pieces]
        self._fingerprint = hashlib.sha256(model).hexdigest()
        self.vocabulary_size = max(size, boundary + 1)

    def encode(self, text: tf.Tensor, shortest: int, longest: int) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Tokenizer.encode`."""
        valid = tf.equal(tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore"), text)
        # The message does not hold the text itself, since messages must be UTF-8 too.
        received = tf.strings.join(["other bytes in row ", tf.strings.as_string(tf.argmin(tf.cast(valid, tf.int32)))])
        text = requests.checked(text, (tf.reduce_all(valid), "`text` must be UTF-8", received))
        pieces = self._pieces.tokenize(text)
        lengths = tf.cast(pieces.row_lengths(), tf.int32)
        rule = f"have from {shortest} to {longest} pieces a row"
        ids = requests.checked(pieces.to_tensor(), requests.between("text", lengths, shortest, longest, rule))
        return ids, lengths

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """See `Tokenizer.decode`."""
        before = tf.RaggedTensor.from_tensor(ids, lengths)
        new = tf.RaggedTensor.from_tensor(new_ids, counts)
        new = tf.ragged.boolean_mask(new, new != self.boundary)
        # Decoded without the text before it, the first new piece would lose its leading blank.
        start = tf.strings.length(self._pieces.detokenize(before))
        text = self._pieces.detokenize(tf.concat([before, new], axis=1))
        return tf.strings.substr(text, start, tf.strings.length(text) - start)

    def describe(self) -> dict[str, Any]:
        """See `Tokenizer.describe`."""
        return {"kind": "sentencepiece", "boundary": self.boundary, "sha256": self._fingerprint}

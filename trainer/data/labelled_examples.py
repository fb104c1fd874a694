"""Cuts labelled documents into examples: a row of ids, and its label.

Shape letters: N examples, L sequence length, B batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from reformer_tf.tokenizers import Tokenizer
from trainer.data import id_slices, numbered_documents
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments

NO_LABEL = -1
"""The label of a row that only fills a batch up."""


class LabelledExamples:
    """Examples of classification: the first `sequence_length` ids of each document, or of both documents of a pair.

    Text begins with the boundary of its tokenizer, as in pretraining, and that counts: of byte text, the first
    `sequence_length - 1` bytes are read.

    Args:
        documents: The documents.
        tokenizer: Tokenizer of documents that are text; other documents have ids.
        sequence_length: L, the number of ids of a full row.
        length_buckets: Shorter lengths that a batch can be cut to, ascending. The two rows of a pair are cut apart.

    Attributes:
        documents: The documents.
        sizes: `[N]` int64, number of ids of each example without padding, those of both documents of a pair.
        labels: `[N]` int32.
        tokens: Number of ids in all examples.
        overlap: 0, as all ids count.
        notes: Empty, as every document is an example.

    Raises:
        ValueError: If an argument is out of range, there is no document, or one has no ids.

    Example:
        >>> from reformer_tf.tokenizers import ByteTokenizer
        >>> from trainer.data.documents import Documents
        >>> from trainer.data.labelled_documents import LabelledDocuments
        >>> documents = LabelledDocuments(Documents([b"good", b"bad"]), np.array([1, 0]), ("negative", "positive"))
        >>> examples = LabelledExamples(documents, ByteTokenizer(), sequence_length=4)
        >>> ids, mask, labels = examples.gather(tf.constant([1, 0], tf.int64))
        >>> ids.numpy().tolist(), labels.numpy().tolist()
        ([[256, 98, 97, 100], [256, 103, 111, 111]], [0, 1])
    """

    overlap = 0
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        documents: LabelledDocuments,
        tokenizer: Tokenizer,
        sequence_length: int,
        length_buckets: Sequence[int] = (),
    ):
        id_slices.checked_length(sequence_length)
        widths = id_slices.checked_buckets(length_buckets, sequence_length)
        if not len(documents):
            raise ValueError("documents must hold at least one document. Received: none")
        self.documents = documents
        self.labels = documents.labels
        parts = [part for part in (documents.documents, documents.pairs) if part is not None]
        self._parts = [_first_ids(part, tokenizer, sequence_length, widths) for part in parts]

    @property
    def sizes(self) -> np.ndarray:
        return np.sum([part.sizes for part in self._parts], axis=0)

    @property
    def tokens(self) -> int:
        return int(self.sizes.sum())

    def __len__(self) -> int:
        return len(self.labels)

    def spread(self, count: int) -> LabelledExamples:
        """Chooses examples at equal distances from the first on: always the same, from all parts of the documents.

        Args:
            count: Number of examples; 0 for all.
        """
        if not 0 < count < len(self):
            return self
        chosen, indices = copy.copy(self), id_slices.spread(len(self), count)
        chosen._parts = [part.take(indices) for part in self._parts]
        chosen.labels = self.labels[indices]
        return chosen

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, draws: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch with TensorFlow ops. In a `tf.data` pipeline the ids are not copied.

        Args:
            indices: `[B]` int64; a negative index gives a row that is all masked, with the label `NO_LABEL`.
            among: `[G]` int64, all examples of the global batch that these rows are a part of; by default `indices`.
                They decide the length, so that all parts have the same.
            draws: `[B]` uint64, 64 random bits for each row of a training step; None in an evaluation, whose rows are
                always the same. For examples that are changed at random; these are not.

        Returns:
            ids `[B, L]` int32, mask `[B, L]` bool, for pairs both of the second documents, too, and labels `[B]` int32.
            With length buckets, L is the smallest one that holds the longest row of the global batch, and is not
            static.
        """
        rows = [tensor for part in self._parts for tensor in part.gather(indices, among)]
        with tf.init_scope(), tf.device("CPU:0"):
            labels = tf.constant(self.labels)
        labels = tf.where(indices < 0, NO_LABEL, tf.gather(labels, tf.maximum(indices, 0)))
        return (*rows, labels)


def _first_ids(
    documents: Documents | IdDocuments, tokenizer: Tokenizer, length: int, widths: Sequence[int]
) -> id_slices.IdSlices:
    """Cuts each document to its first ids."""
    numbered = numbered_documents.number(documents, tokenizer) if isinstance(documents, Documents) else documents
    sizes = np.minimum(np.diff(numbered.offsets), length)
    if not sizes.all():
        raise ValueError(f"documents must have at least one id each. Received: none in document {sizes.argmin()}")
    return id_slices.IdSlices(numbered.ids, numbered.offsets[:-1], sizes, widths)

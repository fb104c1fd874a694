"""Documents in the ids of a tokenizer.

Shape letters: T ids of all documents together, D documents.
"""

import dataclasses

import numpy as np

from reformer_tf.tokenizers import ByteTokenizer, Tokenizer
from trainer.data import documents
from trainer.data.id_documents import IdDocuments


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


Documents = documents.Documents | NumberedDocuments | IdDocuments
"""Documents of text, as bytes or in the ids of a tokenizer, and documents that are ids."""


def number(read: documents.Documents, tokenizer: Tokenizer) -> documents.Documents | NumberedDocuments:
    """Turns documents into the ids of a tokenizer.

    Args:
        read: The documents.
        tokenizer: The tokenizer.
    """
    if isinstance(tokenizer, ByteTokenizer):
        if (tokenizer.first, tokenizer.boundary) == (0, documents.BOUNDARY):
            return read
        is_boundary = read.ids == documents.BOUNDARY
        ids = np.where(is_boundary, tokenizer.boundary, read.ids + tokenizer.first).astype(np.uint16)
        return NumberedDocuments(ids, read.offsets, read.num_bytes)
    parts = [tokenizer.to_ids(document) for document in read]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts])])
    ids = np.concatenate(parts)
    return NumberedDocuments(ids, offsets, int(tokenizer.byte_counts[ids].sum()))

"""Documents with a label each, for classification.

Shape letters: D documents, T ids of all documents together, L ids of the longest.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

import numpy as np

from trainer.data.documents import Documents


@dataclasses.dataclass(frozen=True)
class IdRows:
    """Rows of ids of any lengths, in one array.

    Attributes:
        ids: `[T]` integers, row 0, then row 1, ...
        offsets: `[D + 1]` int64, position of each row's first id in `ids`, and T.

    Example:
        >>> IdRows.from_padded(np.array([[5, 6, 0], [7, 0, 0]]), np.array([2, 1])).ids.tolist()
        [5, 6, 7]
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_padded(cls, ids: np.ndarray, lengths: np.ndarray) -> IdRows:
        """Makes rows of `[D, L]` ids, of which the first `lengths`, `[D]`, are real."""
        real = np.arange(ids.shape[1]) < lengths[:, None]
        return cls(ids[real], np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def size(self) -> str:
        """How much there is, for people."""
        return f"{len(self.ids):,} ids"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the rows: equal exactly when they are the same ids in the same order."""
        digest = hashlib.sha256(np.ascontiguousarray(self.ids.astype("<i4")).data)
        digest.update(np.ascontiguousarray(self.offsets.astype("<i8")).data)
        return digest.hexdigest()


class LabelledDocuments:
    """Documents, each with a label, and perhaps each with a second document: a pair of which the label is true.

    Args:
        documents: D of them, `Documents` or `IdRows`.
        labels: `[D]` integers, index of each document's label in `label_names`.
        label_names: Names of the labels, the same ones for all parts of a corpus.
        pairs: The second documents, of the same kind; None for single documents.

    Raises:
        ValueError: If the numbers of documents and labels differ, or a label is not one of the names.

    Example:
        >>> from trainer.data.documents import Documents
        >>> labelled = LabelledDocuments(Documents([b"good", b"bad"]), np.array([1, 0]), ("negative", "positive"))
        >>> labelled.size
        '2 examples of 7 bytes'
    """

    def __init__(
        self,
        documents: Documents | IdRows,
        labels: np.ndarray,
        label_names: tuple[str, ...],
        pairs: Documents | IdRows | None = None,
    ):
        labels = np.asarray(labels)
        sizes = [len(documents), *([] if pairs is None else [len(pairs)])]
        if labels.shape != (len(documents),) or len({*sizes}) > 1:
            raise ValueError(f"labels must be one for each document. Received: {labels.shape} for {sizes} documents")
        if labels.size and not (labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < len(label_names)):
            raise ValueError(
                f"labels must be integers from 0 to {len(label_names) - 1}, of {len(label_names)} names. "
                f"Received: {labels!r}"
            )
        self.documents = documents
        self.labels = labels.astype(np.int32)
        self.label_names = tuple(label_names)
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> str:
        """How much there is, for people."""
        more = "" if self.pairs is None else f" and {self.pairs.size}"
        return f"{len(self):,} examples of {self.documents.size}{more}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256: equal exactly when documents, labels and their names are the same in the same order."""
        parts = [part.fingerprint for part in (self.documents, self.pairs) if part is not None]
        digest = hashlib.sha256(json.dumps([parts, self.label_names]).encode())
        digest.update(self.labels.astype("<i4").data)
        return digest.hexdigest()

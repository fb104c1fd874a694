"""Documents with a label each, for classification.

Shape letter: D documents.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments


def are_names(labels: Sequence[Any]) -> bool:
    """Whether labels are different strings, none empty."""
    return all(isinstance(label, str) and label for label in labels) and len({*labels}) == len(labels)


class LabelledDocuments:
    """Documents, each with a label, and perhaps each with a second document: a pair of which the label is true.

    Args:
        documents: D of them, `Documents` or `IdDocuments`.
        labels: `[D]` integers, index of each document's label in `label_names`.
        label_names: Names of the labels, different and not empty, the same ones for all parts of a corpus.
        pairs: The second documents, of the same kind; None for single documents.

    Raises:
        ValueError: If the numbers of documents and labels differ, the names are not different strings, or a label is
            not one of them.

    Example:
        >>> from trainer.data.documents import Documents
        >>> labelled = LabelledDocuments(Documents([b"good", b"bad"]), np.array([1, 0]), ("negative", "positive"))
        >>> labelled.size
        '2 examples of 7 bytes'
    """

    def __init__(
        self,
        documents: Documents | IdDocuments,
        labels: np.ndarray,
        label_names: tuple[str, ...],
        pairs: Documents | IdDocuments | None = None,
    ):
        labels, label_names = np.asarray(labels), tuple(label_names)
        if not are_names(label_names):
            raise ValueError(f"label_names must be different strings, none empty. Received: {label_names!r}")
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
        self.label_names = label_names
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

"""What predictions without a model would reach on documents of ids."""

import numpy as np

from trainer.data.id_documents import IdDocuments


def id_entropy(
    documents: IdDocuments, vocabulary_size: int, context: int = 0, layout: str = "packed", overlap: int = 1
) -> float:
    """Computes the empirical entropy of the targets: the length of the best fixed code for exactly these ids.

    Args:
        documents: The documents.
        vocabulary_size: V, the number of ids there are.
        context: 0 counts ids on their own; 1 counts each id given the one before it, which takes V^2 counters.
        layout: That of the examples, `"packed"` or `"padded"`.
        overlap: That of the examples: 1 where the first id of a stream is no target, as it has none before it, and 0
            where it is one.

    Returns:
        Bits per id; not a number without any target.

    Raises:
        ValueError: If ids are counted given those before, and some have none.

    Example:
        >>> from trainer.data.id_documents import IdDocuments
        >>> id_entropy(IdDocuments.from_arrays([[0, 1, 0, 1, 0]]), vocabulary_size=2)
        1.0
    """
    if context and not overlap:
        raise ValueError(
            "`context` must be 0 where the first id of a stream is a target, which has none before it. "
            f"Received: context={context!r}, overlap={overlap!r}"
        )
    counts = np.zeros(vocabulary_size ** (1 + context), np.int64)
    streams = documents.offsets[:-1] if layout == "padded" else documents.offsets[:1]
    firsts = streams if overlap else streams[:0]
    before = np.zeros(1, np.int64)
    for start, block in documents.ids.blocks():
        ids = block.astype(np.int64)
        codes = ids if context == 0 else np.concatenate([before, ids[:-1]]) * vocabulary_size + ids
        counted = np.ones(len(ids), bool)
        if documents.scored is not None:
            counted &= documents.scored[start : start + len(ids)]
        counted[firsts[slice(*np.searchsorted(firsts, [start, start + len(ids)]))] - start] = False
        counts += np.bincount(codes[counted], minlength=len(counts))
        before = ids[-1:]
    table = counts.reshape(-1, vocabulary_size)  # [id before, id]
    total, contexts = table.sum(), np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    seen = table > 0
    return float((table[seen] * np.log2(contexts[seen] / table[seen])).sum() / total) if total else float("nan")

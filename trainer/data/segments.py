"""Which tokens of a packed example belong together: those of one document need not see those of another.

Shape letters: b rows, L sequence length.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data.tokenizers import Documents, Tokenizer


def call_options(ids: tf.Tensor, tokenizer: Tokenizer, separate_documents: bool) -> dict[str, Any]:
    """What a model's `token_losses` is to be told about the documents of a batch.

    Each boundary begins a segment. What stands before the first one of a row is the end of a document that an earlier
    example has begun.

    Args:
        ids: `[b, L + 1]` int32.
        tokenizer: The scheme of the ids.
        separate_documents: Whether documents do not see each other.

    Returns:
        `segment_ids`, `[b, L + 1]` int32; nothing if documents see each other.
    """
    if not separate_documents:
        return {}
    return {"segment_ids": tf.cumsum(tf.cast(tf.equal(ids, tokenizer.boundary), tf.int32), axis=1)}


def are_wanted(data: ConfigDict) -> bool:
    """Whether the documents of an example have to be told apart, by `config.data` of a run."""
    return data.separate_documents and data.layout == "packed"


def check_boundaries(documents: Documents, tokenizer: Tokenizer) -> None:
    """Checks that documents can be told apart by their ids alone.

    Args:
        documents: In the ids of the scheme.
        tokenizer: The scheme.

    Raises:
        ValueError: If the boundary's id stands inside of documents too, as that of unknown characters for instance.
    """
    found = int(np.count_nonzero(documents.ids == tokenizer.boundary))
    if found != len(documents):
        raise ValueError(
            "`config.data.separate_documents` must be False where the id of the boundary stands inside of documents "
            f"too. Received: id {tokenizer.boundary} of {tokenizer.name!r}, {found} times in {len(documents)} documents"
        )

"""Segment ids of packed examples, by which tokens do not attend to those of other documents.

Shape letters: b rows, L sequence length.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf.tokenizers import Tokenizer
from trainer.data.documents import Documents
from trainer.data.numbered_documents import NumberedDocuments


def call_options(ids: tf.Tensor, tokenizer: Tokenizer, separate_documents: bool) -> dict[str, Any]:
    """Makes the arguments of `token_losses` that separate the documents of a batch.

    Each boundary begins a segment. The tokens before the first boundary of a row are the end of a document that began
    in an earlier example.

    Args:
        ids: `[b, L + 1]` int32.
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.

    Returns:
        `segment_ids`, `[b, L + 1]` int32; nothing if `separate_documents` is False.
    """
    if not separate_documents:
        return {}
    return {"segment_ids": tf.cumsum(tf.cast(tf.equal(ids, tokenizer.boundary), tf.int32), axis=1)}


def are_wanted(data: ConfigDict) -> bool:
    """Whether `config.data` asks to separate the documents of an example."""
    return data.separate_documents and data.layout == "packed"


def check_boundaries(documents: Documents | NumberedDocuments, tokenizer: Tokenizer) -> None:
    """Checks that documents can be told apart by their ids alone.

    Args:
        documents: Documents in the ids of the tokenizer.
        tokenizer: The tokenizer.

    Raises:
        ValueError: If the id of the boundary also stands inside documents, for unknown characters for instance.
    """
    found = int(np.count_nonzero(documents.ids == tokenizer.boundary))
    if found != len(documents):
        raise ValueError(
            "`config.data.separate_documents` must be False where the id of the boundary stands inside of documents "
            f"too. Received: id {tokenizer.boundary} of {type(tokenizer).__name__}, {found} times in {len(documents)} "
            "documents"
        )

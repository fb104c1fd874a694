"""Reformer for TensorFlow and Keras 3: attention by hashing, reversible residual layers, chunked feed-forward.

Letters in shape comments, in the whole package:

    B  batch            L  length (tokens)      M  model width (hidden_dim)
    H  heads            D  size of a head       N  sequences times heads, B * H
    R  hash rounds      C  chunk length         K  chunks (blocks) of a sequence
    T  rows of a flattened batch, B * L         V  vocabulary size
    Q, W  queries of a block, keys of its window
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "reformer_tf works with the TensorFlow backend of Keras only: set KERAS_BACKEND=tensorflow before keras is"
        f" imported. Received: KERAS_BACKEND={keras.backend.backend()}"
    )

from reformer_tf import layers  # noqa: E402

__all__ = ["layers"]

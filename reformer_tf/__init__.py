"""Reformer for TensorFlow and Keras 3: attention by hashing, reversible residual layers, chunked feed-forward.

Letters in shape comments, in the whole package:

    B  batch            L  length (tokens)      M  model width (hidden_dim)
    H  heads            D  size of a head       N  sequences times heads, B * H
    R  hash rounds      C  chunk length         K  chunks (blocks) of a sequence
    T  rows of a flattened batch, B * L         V  vocabulary size
    Q, W  queries of a block, keys of its window
"""

import os


def _refuse_other_backends(name: str) -> None:
    if name != "tensorflow":
        raise ImportError(
            'reformer_tf works with Keras on TensorFlow only: set KERAS_BACKEND to "tensorflow" before Keras is'
            f' imported. Received: KERAS_BACKEND="{name}"'
        )


# Before Keras is imported, since the other framework may not even be installed; and after, for its own settings file.
_refuse_other_backends(os.environ.get("KERAS_BACKEND", "tensorflow"))

import keras  # noqa: E402

_refuse_other_backends(keras.config.backend())

from reformer_tf import export, layers, models, pretrained  # noqa: E402

__all__ = ["export", "layers", "models", "pretrained"]

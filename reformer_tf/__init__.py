"""Reformer for TensorFlow and Keras 3: attention by hashing, reversible residual layers, chunked feed-forward.

`layers` are Keras layers for models of your own, `models` are whole models, `pretrained` reads the weights of other
implementations, `export` writes SavedModels for serving, `tokenizers` turn text into ids and back.

Letters in shape comments, in the whole package:

    B  batch            L  length (tokens)      M  model width (hidden_dim)
    H  heads            D  size of a head       N  sequences times heads, B * H
    R  hash rounds      C  chunk length         K  blocks of a sequence
    T  rows of a flattened batch, B * L         V  vocabulary size
    Q, W  queries of a block, keys of its window
    l  tokens of a slice

Words, each with one meaning:

    round         a hash round: one hashing of all tokens, with its own sorted order
    local round   the round whose sorted order is the position
    bucket        the tokens of one hash value in a round
    sorted order  the tokens of a round by (bucket, position)
    sort key      one integer for each token and round, from which it follows who meets whom
    block         C tokens in sorted order, computed together
    window        what a query attends to in a round
    chunk         rows that are computed at a time
    slice         a part of the sequence that a branch computes at a time
    branch        a residual function of a reversible block, F or G
    scan step     one layer in a loop over equal layers
    residuals     what the forward pass saves for the gradient
    example       one row of training data
    shard         the part of the data that a process reads
    step          an optimizer step or a decoding step; the text says which

`CONTRIBUTING.md` has the map of the code and the words that these replaced.
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

from reformer_tf import export, layers, models, pretrained, tokenizers  # noqa: E402

__all__ = ["export", "layers", "models", "pretrained", "tokenizers"]

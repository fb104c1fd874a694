"""The signatures of a model that makes targets of sources: what it says itself, whatever the neighbours of a row."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import ByteTokenizer, export_saved_model
from reformer_tf.models import ReformerSeq2Seq
from reformer_tf.ops import id_ranges
from tests.models import cases

END = 256
LONGEST_SOURCE, LONGEST_TARGET, BEAMS = 30, 24, 4
SOURCES = ["a good day".encode(), b"\xff\0", "ｱｲｳ half".encode(), b"x"]
TARGETS = [b"ein guter Tag", b"y", "\u30a2".encode(), b"\x80 \xff"]
# Of each row: greedy, two beams, drawn, all beams.
SETTINGS = {
    "max_new_tokens": [9, 24, 17, 12],
    "temperature": [0.0, 0.0, 1.3, 0.0],
    "top_k": [0, 0, 20, 0],
    "top_p": [1.0, 1.0, 0.95, 1.0],
    "seed": [0, 0, 5, 0],
    "num_beams": [1, 2, 1, BEAMS],
    "length_penalty": [0.0, 0.6, 0.0, 1.0],
}
# Padding would change what these say: each row is computed by itself.
_CHUNKS = {"lsh": {"window": "chunk", "wrap": True, "length_multiple": 8}}
_EXPORTS = {
    "text": (["local"], {}),
    "ids": (["lsh"], {"attention_options": _CHUNKS, "num_hashes": 2, "tokenizer": None}),
}


def _make(kinds, **options):
    keras.utils.set_random_seed(0)
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 1, "hidden_dim": 16, "num_heads": 2, "key_dim": 8}
    sides = {"encoder_attention_layers": kinds, "decoder_attention_layers": kinds, "intermediate_dim": 24}
    model = cases.perturb(
        ReformerSeq2Seq(257, 257, LONGEST_SOURCE, LONGEST_TARGET, **sizes, **sides, chunk_length=4, **options)
    )
    # Mostly text that can be read, and now and then an end.
    bias = np.where(np.arange(257) < 128, 0.0, -2.0)
    bias[END] = 1.5
    model.head.bias.assign(bias)
    return model


class _Export:
    def __init__(self, kinds, folder, tokenizer="auto", **options):
        self.model = _make(kinds, **options)
        self.folder = export_saved_model(self.model, folder, tokenizer, max_beams=BEAMS)
        self.loaded = tf.saved_model.load(self.folder)

    def __call__(self, signature, rows=slice(None), **inputs):
        """Calls a signature for some rows of its inputs."""
        function = self.loaded.signatures[signature]
        specs = {spec.name: spec for spec in function.structured_input_signature[1].values()}
        tensors = {
            name: value[rows] if tf.is_tensor(value) else tf.constant(value[rows], specs[name].dtype)
            for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in function(**tensors).items()}

    @functools.cached_property
    def losses(self):
        """The model's losses, in a graph as an export is."""
        specs = {name: tf.TensorSpec([None, None], tf.int32) for name in ("source", "target")}
        return tf.function(self.model.token_losses, input_signature=[specs], autograph=False)


def _padded(rows):
    return [[*row, *[-1] * (max(map(len, rows)) - len(row))] for row in rows]


def _generated(model, row):
    """The ids that the model generates for a row by itself, with the row's settings."""
    own = {name: values[row] for name, values in SETTINGS.items()}
    if own["temperature"]:
        options = {"sampler": "random", "temperature": own["temperature"], "seed": own["seed"]}
    else:
        # One beam is greedy decoding.
        options = {"sampler": "beam", **{name: own[name] for name in ("num_beams", "length_penalty")}}
    return model.generate([list(SOURCES[row])], own["max_new_tokens"], stop_tokens=[END], **options)[0]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    kinds, options = _EXPORTS["text"]
    return _Export(kinds, tmp_path_factory.mktemp("text"), **options)

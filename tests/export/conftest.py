"""Models and their exports, made once for all tests of this folder."""

import functools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import export_saved_model
from reformer_tf.models import ReformerCausalLM
from tests.export import c_program

_RELEASED = {"window": "chunk", "wrap": True, "length_multiple": 8}
_KINDS = {
    "strictly_causal": {"max_sequence_length": 4096},
    # Padding would change its results.
    "chunks": {
        "max_sequence_length": 64,
        "attention_options": {"lsh": _RELEASED},
    },
}


def make_model(**changes):
    """A small language model of bytes, with weights that are not tiny. Its one layer is traced for six signatures."""
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "key_dim": 8, "intermediate_dim": 32}
    arguments = {"vocabulary_size": 257, "attention_layers": ["lsh"], "chunk_length": 8, "num_hashes": 2}
    keras.utils.set_random_seed(0)
    model = ReformerCausalLM(**{**sizes, **arguments, **changes})
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + 0.1 * rng.normal(size=weight.shape))
    return model


class Export:
    """A model, the folder of its export, and the loaded export."""

    def __init__(self, model: ReformerCausalLM, folder: pathlib.Path):
        self.model = model
        self.path = export_saved_model(model, folder)

    @functools.cached_property
    def module(self):
        """The loaded export; it must stay referenced, because it owns the variables of its signatures."""
        return tf.saved_model.load(self.path)

    @property
    def signatures(self):
        return self.module.signatures


class _Exports(dict):
    """Exports by the name of the kind, made at first use."""

    def __init__(self, folder):
        super().__init__()
        self._folder = folder

    def __missing__(self, kind):
        self[kind] = Export(make_model(**_KINDS[kind]), self._folder / kind)
        return self[kind]


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    return _Exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def loaded(exports):
    """The export that most tests use."""
    return exports["strictly_causal"]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The C program."""
    return c_program.build(tmp_path_factory.mktemp("c"))

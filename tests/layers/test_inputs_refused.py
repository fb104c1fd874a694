"""Inputs that no layer takes are refused by name before building or tracing, eagerly, in graphs and symbolically."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import layers
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead


def _stack(**options):
    attention = layers.ResidualBranch(layers.LocalSelfAttention(2, 8, chunk_length=4, seed=1))
    return layers.ReversibleStack([(attention, layers.ResidualBranch(layers.ChunkedFeedForward(16)))], **options)


ATTENTION = {
    "full": functools.partial(layers.FullSelfAttention, 2, 8, seed=1),
    "local": functools.partial(layers.LocalSelfAttention, 2, 8, chunk_length=4, seed=1),
    "lsh": functools.partial(layers.LSHSelfAttention, 2, 8, chunk_length=4, seed=1),
}
# Layers that only take [batch, length, width].
SEQUENCE = {
    **ATTENTION,
    "axial": functools.partial(layers.AxialPositionEmbedding, (4, 8), (8, 8)),
    "learned": functools.partial(layers.LearnedPositionEmbedding, 32),
    "sinusoidal": layers.SinusoidalPositionEmbedding,
    "stack": _stack,
    "plain stack": functools.partial(_stack, reversible=False),
}
# Layers that take any number of axes before the width.
ANY_RANK = {
    "feed-forward": functools.partial(layers.ChunkedFeedForward, 16),
    "normalization": layers.ChunkedLayerNormalization,
    "branch": lambda: layers.ResidualBranch(layers.ChunkedFeedForward(16)),
    "head": functools.partial(TokenHead, 7),
    "dropout": functools.partial(SeededDropout, 0.5),
}
LAYERS = {**SEQUENCE, **ANY_RANK}
X = np.random.default_rng(0).normal(size=(2, 6, 16)).astype("float32")
_RAGGED = r"inputs must be a dense tensor: ragged.to_tensor\(\) .* mask=.*Received: inputs as a RaggedTensor"
_FLOATING = r"inputs must be floating numbers \[.*Received: inputs of"
WRONG = {
    "ragged": (tf.RaggedTensor.from_tensor(X, lengths=[6, 4]), _RAGGED),
    "sparse": (
        tf.sparse.from_dense(X),
        r"inputs must be a dense tensor: tf.sparse.to_dense.*Received: .* SparseTensor",
    ),
    "integers": ((5 * X).astype("int32"), f"{_FLOATING}.*int32"),
    "booleans": (X > 0, f"{_FLOATING}.*bool"),
    "complex": (X.astype("complex64"), f"{_FLOATING}.*complex64"),
    "strings": (np.array([[["a"]]]), f"{_FLOATING}.*string"),
    "None": (None, f"{_FLOATING} type NoneType"),
    "a list": (X.tolist(), f"{_FLOATING} type list|inputs must be one tensor or a pair|{_FLOATING} type float"),
    "a dict": ({"a": X}, f"{_FLOATING} type dict"),
}
WRONG_SEQUENCES = {
    "one axis": (X[0, 0], r"\[batch, length, width\].*Received: inputs of shape \(16,\)"),
    "two axes": (X[0], r"\[batch, length, width\].*Received: inputs of shape \(6, 16\)"),
    "four axes": (X[None], r"\[batch, length, width\].*Received: inputs of shape \(1, 2, 6, 16\)"),
    "no tokens": (X[:, :0], r"a length of at least 1.*Received: inputs of shape \(2, 0, 16\)"),
}


# The check is one Python function, so graphs are tested with only some of the values.
IN_GRAPHS = ("ragged", "integers", "four axes")


def _refused(layer, cases):
    for name, (value, message) in cases.items():
        with pytest.raises(ValueError, match=message):
            layer(value)
        if name in IN_GRAPHS:
            with pytest.raises(ValueError, match=message):
                tf.function(lambda value=value: layer(value)).get_concrete_function()
    assert not layer.built


@pytest.mark.parametrize("name", LAYERS)
def test_types(name):
    _refused(LAYERS[name](), WRONG)


@pytest.mark.parametrize("name", SEQUENCE)
def test_numbers_of_axes_and_lengths(name):
    _refused(SEQUENCE[name](), WRONG_SEQUENCES)


@pytest.mark.parametrize("name", ANY_RANK)
def test_any_number_of_axes(name):
    for x in (X[0], X, X[None]):
        assert ANY_RANK[name]()(x).shape[:-1] == x.shape[:-1]


@pytest.mark.parametrize("name", LAYERS)
def test_unknown_ranks_and_widths(name):
    """In a tf.function, where shapes may be unknown."""
    for shape in (None, [None, None, None]):
        layer = LAYERS[name]()
        if shape and layer.any_width and name == "dropout":
            continue
        call = tf.function(layer, input_signature=[tf.TensorSpec(shape, tf.float32)])
        with pytest.raises(ValueError, match="of known rank and width.*Received: inputs of shape .* float32"):
            call.get_concrete_function()


@pytest.mark.parametrize("name", LAYERS)
def test_symbolic_inputs(name):
    """In a functional model, when it is made and not when it runs."""
    for options, message in (
        ({"dtype": "int32"}, _FLOATING),
        ({"ragged": True}, "inputs must be a dense tensor"),
        ({"sparse": True}, "inputs must be a dense tensor"),
    ):
        with pytest.raises(ValueError, match=message):
            LAYERS[name]()(keras.Input([None, 16], **options))
    x = keras.Input([None, 16])
    assert LAYERS[name]()(x).shape[:2] == (None, None)
    assert LAYERS[name]()(x * 2.0).shape[:2] == (None, None)  # which Keras flags as sparse


@pytest.mark.parametrize("name", LAYERS)
def test_widths(name):
    layer = LAYERS[name]()
    if not layer.any_width:
        layer(X)
        with pytest.raises(ValueError, match=r"expected axis -1 of size 16. Received: inputs of shape \(2, 6, 12\)"):
            layer(X[:, :, :12])
        with pytest.raises(ValueError, match=r"known rank and width.*Received: inputs of shape \(2, 6, 0\)"):
            LAYERS[name]()(X[:, :, :0])  # Without the check, oneDNN ended the process.


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch_works(name):
    assert LAYERS[name]()(X[:0]).shape[:2] == (0, 6)


@pytest.mark.parametrize("name", [*ATTENTION, "stack", "plain stack"])
@pytest.mark.parametrize("argument", ["mask", "segment_ids"])
def test_other_arguments(name, argument):
    ragged = tf.ragged.constant([[1] * 6, [1] * 4])
    sparse = tf.sparse.from_dense(np.ones((2, 6), "int32"))
    for value, message in ((ragged, "RaggedTensor"), (sparse, "SparseTensor")):
        with pytest.raises(ValueError, match=f"{argument} must be a dense tensor.*Received: {argument} as a {message}"):
            LAYERS[name]()(X, **{argument: value})
    if name != "plain stack":

        @tf.function(input_signature=[tf.TensorSpec(None, tf.bool)])
        def call(value):
            return LAYERS[name]()(X, **{argument: value})

        with pytest.raises(ValueError, match=f"{argument} must have a known rank. Received: {argument} of"):
            call.get_concrete_function()


def test_pairs_of_streams():
    for pair, message in (
        ((X, X[:, :3]), r"streams of one shape. Received: shapes \(2, 6, 16\) and \(2, 3, 16\)"),
        ((X, X, X), "one tensor or a pair of streams. Received: 3 inputs"),
        ((X, X.astype("int32")), _FLOATING),
    ):
        with pytest.raises(ValueError, match=message):
            _stack()(pair)


def test_targets_of_a_head():
    head = TokenHead(7)
    head(X)
    ragged = tf.ragged.constant([[1] * 6, [1] * 4])
    with pytest.raises(ValueError, match="targets must be a dense tensor.*Received: targets as a RaggedTensor"):
        head.token_losses(X, ragged)
    with pytest.raises(ValueError, match="hidden must be a dense tensor"):
        head.token_losses(tf.RaggedTensor.from_tensor(X), np.ones((2, 6), "int32"))


def test_token_embedding():
    cases = {
        "ragged": (tf.ragged.constant([[1, 2], [3]]), "ids must be a dense tensor: ragged.to_tensor"),
        "floats": (np.ones((2, 3)), r"ids must be integers \[batch, length\]. Received: .*\(2, 3\) and dtype float64"),
        "one axis": (np.ones(3, "int32"), r"Received: ids of shape \(3,\)"),
    }
    _refused(TokenEmbedding(9, 8), cases)

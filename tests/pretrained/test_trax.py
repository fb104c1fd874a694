"""Checkpoints in the structure of Trax are read, and other files refused."""

import gzip
import os
import pickle
import sys
import types

import numpy as np
import pytest

from reformer_tf.models import ReformerCausalLM, presets
from reformer_tf.pretrained import from_trax

HEADS, SIZE, WIDTH, INNER, VOCABULARY = 2, 4, 8, 12, 11
AXES, WIDTHS = (4, 8), (2, 6)
ARGUMENTS = {
    "vocabulary_size": VOCABULARY,
    "max_sequence_length": 32,
    "num_layers": 2,
    "hidden_dim": WIDTH,
    "num_heads": HEADS,
    "key_dim": SIZE,
    "intermediate_dim": INNER,
    "attention_layers": ["local", "lsh"],
    "chunk_length": 8,
    "local_chunk_length": 8,
    "num_hashes": 2,
    "num_buckets": 4,
    "axial_shape": AXES,
    "axial_dims": WIDTHS,
    "attention_options": {kind: {"window": "chunk", "wrap": True} for kind in ("local", "lsh")},
}


class _Made:
    """Weights of a model of `ARGUMENTS` in Trax's structure, and by their names here.

    Args:
        chunked: whether feed-forward layers are wrapped, as Trax does for chunks.
        axes_in_tuples: whether a table of positions is in a tuple of one, or has an axis for the batch.
    """

    def __init__(self, chunked=True, axes_in_tuples=True):
        self._rng = np.random.default_rng(0)
        self.table = self._array(VOCABULARY, WIDTH)
        self.axes = [self._array(AXES[0], 1, WIDTHS[0]), self._array(1, AXES[1], WIDTHS[1])]
        positions = tuple((axis,) if axes_in_tuples else axis[None] for axis in self.axes)
        self.local = [self._array(HEADS, WIDTH, SIZE) for _ in range(3)] + [self._array(HEADS, SIZE, WIDTH)]
        self.lsh = [self._array(HEADS, WIDTH, SIZE) for _ in range(2)] + [self._array(HEADS, SIZE, WIDTH)]
        self.norms = [(self._array(WIDTH), self._array(WIDTH)) for _ in range(4)]
        self.inner = [(self._array(WIDTH, INNER), self._array(INNER)) for _ in range(2)]
        self.outer = [(self._array(INNER, WIDTH), self._array(WIDTH)) for _ in range(2)]
        trunk = []
        for index, attention in enumerate((self.local, self.lsh)):
            layer = (self.norms[2 * index + 1], self.inner[index], (), (), self.outer[index], ())
            wrapped = ((), (), layer, ()) if chunked else layer
            feed_forward = (((), ((), (), wrapped)),)
            trunk += [((self.norms[2 * index],), tuple(attention)), (), feed_forward, ()]
        self.last = (self._array(2 * WIDTH), self._array(2 * WIDTH))
        self.head = (self._array(2 * WIDTH, VOCABULARY), self._array(VOCABULARY))
        self.weights = ((), self.table, (), positions, (), tuple(trunk), (), self.last, (), self.head, ())

    def _array(self, *shape):
        return self._rng.normal(size=shape).astype(np.float32)


def _write(path, weights, compressed=False, protocol=None, **others):
    data = pickle.dumps({"weights": weights, "step": 3, **others}, protocol)
    path.write_bytes(gzip.compress(data) if compressed else data)
    return path


def _replaced(tree, path, value):
    """Nested tuples with another value at a path of indices."""
    first, *rest = path
    return tuple(
        (_replaced(part, rest, value) if rest else value) if index == first else part for index, part in enumerate(tree)
    )


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, {}),
        ({"chunked": False}, {"compressed": True}),
        ({"axes_in_tuples": False}, {"protocol": 2}),
        ({}, {"protocol": 5}),
    ],
)
def test_every_weight_finds_its_target(options, written, tmp_path):
    made = _Made(**options)
    model = from_trax(_write(tmp_path / "model.pkl", made.weights, **written), **ARGUMENTS)
    expected = [
        made.table,
        made.axes[0][:, 0],
        made.axes[1][0],
        *(
            weight
            for index, attention in enumerate((made.local, made.lsh))
            for weight in _block(made, index, attention)
        ),
        *made.last,
    ]
    for one, two in zip(model.backbone.trainable_variables, expected, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
    np.testing.assert_array_equal(model.head.kernel, made.head[0])
    np.testing.assert_array_equal(model.head.bias, made.head[1])
    assert model.backbone.config["layer_norm_epsilon"] == 1e-6
    assert model(np.zeros((1, 20), np.int32)).shape == (1, 20, VOCABULARY)


def _block(made, index, attention):
    """The weights of a layer in the layout and sequence of ours."""
    *kernels, output = attention
    yield from (np.transpose(kernel, (1, 0, 2)) for kernel in kernels)
    yield output
    yield from made.norms[2 * index]
    yield from (*made.inner[index], *made.outer[index])
    yield from made.norms[2 * index + 1]


def test_heads_attend_as_there(tmp_path):
    """`[H, M, D]` is not a matrix of heads side by side: swapping two heads everywhere changes nothing."""
    made = _Made()
    ids = np.random.default_rng(1).integers(0, VOCABULARY, (2, 30)).astype(np.int32)
    rotations = {1: np.random.default_rng(2).normal(size=(HEADS, SIZE, 2, 2))}
    swapped = made.weights
    for entry, count in ((0, 4), (4, 3)):
        for number in range(count):
            path = (5, entry, 1, number)
            part = made.weights[5][entry][1][number]
            swapped = _replaced(swapped, path, part[::-1].copy())
    outputs = [
        from_trax(_write(tmp_path / "model.pkl", weights), rotations={1: value}, **ARGUMENTS)(ids)
        for weights, value in ((made.weights, rotations[1]), (swapped, rotations[1][::-1]))
    ]
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_arrays_of_jax(tmp_path, monkeypatch):
    """Arrays of JAX are pickled as a call of a function of JAX with the parts of a numpy array."""
    for name in ("jax", "jax._src", "jax._src.array"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["jax._src.array"]._reconstruct_array = _reconstruct_array
    monkeypatch.setattr(_reconstruct_array, "__module__", "jax._src.array")
    made = _Made()
    path = _write(tmp_path / "model.pkl", _replaced(made.weights, (1,), _JaxArray(made.table)))
    monkeypatch.undo()
    model = from_trax(path, **ARGUMENTS)
    np.testing.assert_array_equal(model.backbone.token_embedding.embeddings, made.table)


def _reconstruct_array(*_):
    raise AssertionError("only its name is pickled")


class _JaxArray:
    def __init__(self, array):
        self._array = array

    def __reduce__(self):
        make, arguments, state = self._array.__reduce__()
        return _reconstruct_array, (make, arguments, state, {"weak_type": False})


def test_a_preset_has_the_arguments(tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "small", ARGUMENTS)
    path = _write(tmp_path / "model.pkl", _Made().weights)
    model = from_trax(path, preset="small", num_hashes=3)
    assert isinstance(model, ReformerCausalLM)
    assert model.backbone.config["num_hashes"] == 3
    with pytest.raises(ValueError, match=r"name must be that of a preset"):
        from_trax(path, preset="none")


def test_arguments_that_trax_does_not_have(tmp_path):
    path = _write(tmp_path / "model.pkl", _Made().weights)
    with pytest.raises(ValueError, match=r"positions must be 'axial' for weights of Trax. Received: positions='none'"):
        from_trax(path, **ARGUMENTS, positions="none")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((1,), np.zeros((3, WIDTH)), r"weights\[1\] must have the shape \[11, 8\] and has \[3, 8\]"),
        ((2,), np.zeros(3), r"weights\[2\] \[3\] has no place in the model"),
        ((3, 1), (), r"weights\[3\]\[1\]\[0\] \[1, 8, 6\] is missing, so that .*axis_1 gets no weight"),
        ((5,), (), r"weights\[5\] must have 8 entries for 2 layers. Received: 0"),
        ((5, 4, 1), (), r"weights\[5\]\[4\]\[1\]\[0\] .* is missing"),
        ((5, 2), (), r"weights\[5\]\[2\] must be a tuple of more than 0 parts. Received: 0"),
        ((7,), "text", r"weights\[7\] must be an array of floating numbers or a tuple. Received: str"),
        ((9, 1), (), r"weights\[9\]\[1\] \[11\] is missing"),
    ],
)
def test_another_structure(path, value, message, tmp_path):
    weights = _replaced(_Made().weights, path, value)
    with pytest.raises(ValueError, match=message):
        from_trax(_write(tmp_path / "model.pkl", weights), **ARGUMENTS)


class _Evil:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_runs_no_code(tmp_path):
    path = tmp_path / "model.pkl"
    with pytest.raises(ValueError, match=r"could run code. Received: posix.system"):
        from_trax(_write(path, (), history=_Evil()), **ARGUMENTS)
    # A call of a function that arrays do not need, by its dotted name (pickle's opcodes, written by hand).
    path.write_bytes(b"cnumpy\nsave\n.")
    with pytest.raises(ValueError, match=r"Received: numpy.save"):
        from_trax(path, **ARGUMENTS)


def test_objects_of_trax_are_passed_over_outside_the_weights(tmp_path):
    from_trax(_with_a_stranger(tmp_path / "model.pkl", _Made().weights, history=_Stranger()), **ARGUMENTS)
    path = _with_a_stranger(tmp_path / "model.pkl", _replaced(_Made().weights, (2,), _Stranger()))
    with pytest.raises(ValueError, match=r"weights\[2\] must be .* Received: _StandIn"):
        from_trax(path, **ARGUMENTS)


def _with_a_stranger(path, weights, **others):
    """Like `_write`, but renames the class of this file to one of Trax with a name of the same length."""
    data = _write(path, weights, **others).read_bytes()
    assert data.count(__name__.encode()) == 1
    path.write_bytes(data.replace(__name__.encode(), f"{'trax.':x<{len(__name__)}}".encode()))
    return path


class _Stranger:
    def __init__(self):
        self.values = {"loss": [1.0, 2.0]}


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "model.pkl"
    with pytest.raises(FileNotFoundError, match=r"path must be a checkpoint of Trax.* no file"):
        from_trax(path, **ARGUMENTS)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"path must be a pickle. Received"):
        from_trax(path, **ARGUMENTS)
    path.write_bytes(pickle.dumps({"flat_weights": [], "step": 1}))
    with pytest.raises(ValueError, match=r"must be a dict with \"weights\". Received: .*\['flat_weights', 'step'\]"):
        from_trax(path, **ARGUMENTS)


def test_an_address_is_no_file():
    with pytest.raises(ValueError, match="path must be a path in the file system of this machine"):
        from_trax("gs://trax-ml/reformer/enwik8/model.pkl", **ARGUMENTS)

"""Reads the pickle of a Trax checkpoint without running its code, and with no more memory than the file justifies."""

import gzip
import math
import os
import pathlib
import pickle
import pickletools
import zlib
from collections.abc import Callable
from typing import IO, Any, BinaryIO, cast

import numpy as np

_GZIP = b"\x1f\x8b"
# Compression hardly shrinks trained weights. The factor allows for zeros, such as the slots of an optimizer.
_EXPANSION = 20
_ALWAYS_FINE = 64 << 20
# A checkpoint has some hundred arrays. Each instruction may make an object of some hundred bytes.
_MOST_INSTRUCTIONS = 1_000_000
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_MOST_ITEMSIZE = 16

# The modules of numpy 1 and 2 with the functions that the pickle of an array refers to.
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
# For bytes that are no pickle, `pickle` may raise nearly anything.
_FAILURES = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    zlib.error,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    OverflowError,
    RecursionError,
    MemoryError,
)


def read(path: pathlib.Path) -> Any:
    """Reads a checkpoint, compressed by gzip or not.

    Args:
        path: the file.

    Returns:
        The pickled object: arrays as `numpy.ndarray` in nested tuples and dicts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no pickle of arrays, or if it declares or unpacks to sizes that no checkpoint of its size
            has.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path must be a checkpoint of Trax, such as model.pkl. Received: {path}, no file")
    try:
        # The first pass only checks the instructions and makes no objects.
        with _opened(path) as stream:
            _check_instructions(_Limited(stream, _most_bytes(path)))
        with _opened(path) as stream:
            return _plain(_Unpickler(_Limited(stream, _most_bytes(path))).load())
    except _NoCheckpointError:
        raise
    except _FAILURES as error:
        raise ValueError(f"path must be a pickle. Received: {path}: {error}") from error


class _NoCheckpointError(ValueError):
    """The file is a pickle, but not of a checkpoint."""


def _opened(path: pathlib.Path) -> BinaryIO:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path, "rb") if is_compressed else path.open("rb")  # type: ignore[return-value]


def _most_bytes(path: pathlib.Path) -> int:
    return os.path.getsize(path) * _EXPANSION + _ALWAYS_FINE


class _Limited:
    """A stream that refuses to read beyond a limit of bytes."""

    def __init__(self, stream: BinaryIO, limit: int):
        self._stream = stream
        self._limit = self._left = limit

    def read(self, size: int) -> bytes:
        return self._taken(self._stream.read(self._checked(size)))

    def readline(self) -> bytes:
        return self._taken(self._stream.readline(self._left + 1))

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def _checked(self, size: int) -> int:
        if size > self._left:
            raise _NoCheckpointError(
                f"A checkpoint must not unpack to more than {_EXPANSION} times its size. Received: one that asks for "
                f"more than {self._limit:,} bytes"
            )
        return size

    def _taken(self, content: bytes) -> bytes:
        self._left -= self._checked(len(content))
        return content


def _check_instructions(stream: _Limited) -> None:
    """Reads the instructions of a pickle without following them."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream)), 1):
        # The unpickler allocates a memo table as long as its largest index.
        if count > _MOST_INSTRUCTIONS or (opcode.name in _PUTS and int(argument or 0) > count):
            raise _NoCheckpointError(
                f"A checkpoint must be made of at most {_MOST_INSTRUCTIONS:,} parts, counted one by one. Received: more"
            )


class _Unpickler(pickle.Unpickler):
    """An unpickler of numpy arrays in Python's built-in containers."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY and name in _ARRAY_MAKERS:
            return _ARRAY_MAKERS[name]
        if (module, name) == ("_codecs", "encode"):  # Bytes, in old pickles.
            return _latin
        if (module, name) == ("jax._src.array", "_reconstruct_array"):
            return _jax_array
        if module.split(".")[0] == "trax":
            return _StandIn
        raise _NoCheckpointError(
            "A checkpoint must be made of arrays of numpy, since reading anything else could run code."
            f" Received: {module}.{name}"
        )


class _StandIn:
    """Stands in for an object of Trax's own classes: accepts any arguments and state, and stores none of them."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_StandIn":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Dtype:
    """A dtype of numbers with a checked size: the state of a pickled numpy dtype may name any size."""

    def __init__(self, text: Any, *options: Any):
        dtype = np.dtype(text) if isinstance(text, str) and len(text) <= _MOST_ITEMSIZE else None
        plain = dtype is not None and dtype.kind in "biufc" and dtype.subdtype is None
        if dtype is None or not plain or not 0 < dtype.itemsize <= _MOST_ITEMSIZE:
            raise _NoCheckpointError(f"A checkpoint must hold arrays of numbers. Received: the type {text!r}")
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        endianness = state[1]
        if endianness in ("<", ">", "="):
            self.dtype = self.dtype.newbyteorder(endianness)


class _Array:
    """An array under construction: its state brings shape and bytes, whose number is checked against the shape."""

    value: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        self.value = _array_from_bytes(content, dtype, shape, "F" if is_fortran else "C")


def _array_from_bytes(content: Any, dtype: Any, shape: Any, memory_layout: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray | pickle.PickleBuffer):
        raise _NoCheckpointError(f"A checkpoint must hold arrays of numbers. Received: one of {type(content).__name__}")
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    content = memoryview(content)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise _NoCheckpointError(f"The shape of an array must be integers. Received: {sizes!r}")
    if math.prod(sizes) * dtype.dtype.itemsize != content.nbytes:
        raise _NoCheckpointError(
            f"An array must have the bytes that its shape says. Received: {content.nbytes} for {list(sizes)} of "
            f"{dtype.dtype.name}"
        )
    return np.frombuffer(content, dtype.dtype).reshape(sizes, order=memory_layout)  # type: ignore[call-overload]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(content: Any, dtype: Any, shape: Any, memory_layout: Any, axes: Any = None) -> np.ndarray:
    array = _array_from_bytes(content, dtype, shape, "F" if memory_layout == "F" else "C")
    return array if axes is None else array.transpose(axes)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    return _array_from_bytes(content, dtype, (1,), "C")[0]


def _jax_array(make: Callable[..., _Array], arguments: Any, state: Any, _: Any) -> _Array:
    """Makes an array of JAX, which is pickled as the parts of a numpy array."""
    array = make(*arguments)
    array.__setstate__(state)
    return array


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise _NoCheckpointError(f"Bytes of an old pickle must be written as latin1. Received: {encoding!r}")
    return text.encode("latin1")


class _Ndarray:
    """Stands in for `numpy.ndarray`, which pickles of arrays name and never call."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Ndarray":
        raise _NoCheckpointError("A checkpoint must hold arrays as numpy pickles them. Received: a call of ndarray")


_ARRAY_MAKERS: dict[str, Any] = {
    "_reconstruct": _reconstruct,
    "_frombuffer": _from_buffer,
    "scalar": _scalar,
    "ndarray": _Ndarray,
    "dtype": _Dtype,
}


def _plain(tree: Any, done: dict[int, Any] | None = None) -> Any:
    """The same tree with finished arrays and tuples. A part that occurs several times is converted once."""
    done = {} if done is None else done
    if id(tree) in done:
        return done[id(tree)]
    if isinstance(tree, _Array):
        result: Any = tree.value
    elif isinstance(tree, tuple | list):
        result = tuple(_plain(part, done) for part in tree)
    elif isinstance(tree, dict):
        result = {key: _plain(part, done) for key, part in tree.items()}
    else:
        result = tree
    done[id(tree)] = result
    return result

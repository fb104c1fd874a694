"""Files of ids: NumPy arrays, plain arrays, and TFRecord files. Arrays are memory-mapped, never read as a whole."""

from __future__ import annotations

import dataclasses
import re
import stat
import tokenize
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
"""What `config.data.ids_dtype` may be. The bytes of a number are in the order of x86 and ARM, the lowest one first."""

_TFRECORD = re.compile(r"\.tfrecords?(-\d+-of-\d+)?$")
# What NumPy raises for damaged headers, for arrays of objects, and where there are fewer bytes than the header says.
_DAMAGES = (ValueError, EOFError, TypeError, SyntaxError, tokenize.TokenError)
_BATCH = 1024  # Records that are parsed at a time.


@dataclasses.dataclass(frozen=True)
class IdFile:
    """The ids in a file.

    Attributes:
        name: Path of the file, for messages and for the choice of validation documents.
        ids: `[T]` integers, a view of the file if that is memory-mapped.
        sizes: `[D]`, number of ids of each document.
        is_one: Whether the file is one document, of which a part may be cut off; otherwise documents belong together.
    """

    name: str
    ids: np.ndarray
    sizes: np.ndarray
    is_one: bool


def is_known(name: str) -> bool:
    """Whether a file of this name is read as one of ids."""
    return _reader(name) is not None


def is_bin(name: str) -> bool:
    """Whether a file of this name is read as plain numbers."""
    return name.endswith(".bin")


def is_tfrecord(name: str) -> bool:
    """Whether a file of this name is read as a TFRecord file."""
    return _TFRECORD.search(name) is not None


def read(path: Path, name: str, dtype: str, feature: str) -> IdFile:
    """Opens a file of ids.

    Args:
        path: The file.
        name: Its name in messages.
        dtype: `config.data.ids_dtype`: the type of the numbers in `.bin` files.
        feature: `config.data.ids_feature`: the name of the ids in TFRecord files.

    Raises:
        ValueError: If the file is of no known kind, is damaged or empty, or holds no ids. The message goes on after
            the words "must name".
        OSError: If it cannot be read.
    """
    reader = _reader(name)
    if reader is None:
        raise ValueError(f"files that end in .npy, .bin or .tfrecord. Received: {name!r}")
    if not stat.S_ISREG(path.stat().st_mode):  # A pipe would wait for ever.
        raise ValueError(f"regular files. Received: {name!r}")
    if not path.stat().st_size:
        raise ValueError(f"files with at least one id. Received: {name!r}, which is empty")
    found = reader(path, name, dtype, feature)
    if not len(found.ids):
        raise ValueError(f"files with at least one id. Received: {name!r} with none")
    return found


def _reader(name: str) -> Callable[[Path, str, str, str], IdFile] | None:
    if name.endswith(".npy"):
        return _read_npy
    if is_bin(name):
        return _read_bin
    return _read_tfrecord if is_tfrecord(name) else None


def _read_npy(path: Path, name: str, dtype: str, feature: str) -> IdFile:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGES as error:
        raise ValueError(f"NumPy arrays of integers that are whole. Received: {name!r} ({error})") from error
    if not isinstance(array, np.memmap) or array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise ValueError(
            "NumPy arrays of integers with one axis, or with two for documents of equal "
            f"length. Received: {name!r} with {_described(array)}"
        )
    if not array.flags.c_contiguous:
        raise ValueError(
            "NumPy arrays that are stored row by row (np.ascontiguousarray). "
            f"Received: {name!r}, stored column by column"
        )
    if array.offset + array.nbytes != path.stat().st_size:
        raise ValueError(
            f"NumPy arrays of integers that are whole, and nothing else. Received: {name!r} with "
            f"{path.stat().st_size:,} bytes, of which its header explains {array.offset + array.nbytes:,}"
        )
    rows, size = array.shape if array.ndim == 2 else (1, len(array))
    return IdFile(name, array.reshape(-1), np.full(rows, size, np.int64), is_one=array.ndim == 1)


def _described(array: object) -> str:
    return f"shape {array.shape} and dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__


def _read_bin(path: Path, name: str, dtype: str, feature: str) -> IdFile:
    if not dtype:
        raise ValueError(
            f"no .bin file unless config.data.ids_dtype says which numbers it holds, one of {', '.join(DTYPES)}. "
            f"Received: {name!r} with config.data.ids_dtype=''"
        )
    kind = np.dtype(dtype).newbyteorder("<")
    if path.stat().st_size % kind.itemsize:
        raise ValueError(
            f".bin files of whole numbers of config.data.ids_dtype, {dtype}. "
            f"Received: {name!r} with {path.stat().st_size:,} bytes"
        )
    array = np.memmap(path, kind, mode="r")
    return IdFile(name, array, np.array([len(array)]), is_one=True)


def _read_tfrecord(path: Path, name: str, dtype: str, feature: str) -> IdFile:
    rule = f"TFRecord files of tf.train.Example with int64 {feature!r} in each"
    spec = {feature: tf.io.RaggedFeature(tf.int64)}
    values, sizes = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    try:
        for batch in tf.data.TFRecordDataset(str(path)).batch(_BATCH):
            ragged = tf.io.parse_example(batch, spec)[feature]
            ids = ragged.values.numpy()
            few = not len(ids) or (ids.min() >= 0 and ids.max() <= np.iinfo(np.int32).max)
            values.append(ids.astype(np.int32) if few else ids)  # Others are refused later, with their offset.
            sizes.append(ragged.row_lengths().numpy())
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{rule}. Received: {name!r} ({error.message})") from error
    lengths = np.concatenate(sizes)
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise ValueError(
            f"{rule}, at least one id (config.data.ids_feature is the name). "
            f"Received: {name!r}, where record {empty[0]} has none"
        )
    return IdFile(name, np.concatenate(values), lengths, is_one=False)

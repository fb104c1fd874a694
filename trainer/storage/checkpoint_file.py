"""File format of a checkpoint: named arrays and a description, with a checksum of both.

The file is in the safetensors format: the length of the header, the header in JSON, then the arrays one after another.
The checksum in the header's `__metadata__` is the SHA-256 of the header without it and of the arrays.
"""

import hashlib
import json
import os
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from trainer import atomic, json_text

_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<Q")


class DamagedCheckpoint(Exception):  # noqa: N818 (a state of the file)
    """Raised when a file is incomplete or its content has changed."""


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: File to write or to replace.
        arrays: Arrays of any shape by name.
        description: Anything that JSON can hold.
    """
    contents = {name: np.asarray(array) for name, array in arrays.items()}
    entries, offset = {}, 0
    for name, array in contents.items():
        entries[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    blocks = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in contents.values()]
    text = json.dumps(description, sort_keys=True)
    header = _header(entries, {"description": text})
    checksum = hashlib.sha256(header)
    for block in blocks:
        checksum.update(block)
    header = _header(entries, {"description": text, "sha256": checksum.hexdigest()})
    header += b" " * (-len(header) % 8)
    with atomic.writing(path) as file:
        file.write(_LENGTH.pack(len(header)))
        file.write(header)
        for block in blocks:
            file.write(block)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a checkpoint and verifies its checksum.

    Args:
        path: File that `write` wrote.

    Returns:
        The arrays by name, and the description.

    Raises:
        DamagedCheckpoint: If the file is cut short or changed.
        OSError: If it cannot be read at all.
    """
    content = memoryview(pathlib.Path(path).read_bytes())
    try:
        (length,) = _LENGTH.unpack_from(content)
        start = _LENGTH.size + length
        entries = json_text.parse_object(bytes(content[_LENGTH.size : start]))
        metadata = entries.pop("__metadata__")
        expected = metadata.pop("sha256")
        checksum = hashlib.sha256(_header(entries, metadata))
        checksum.update(content[start:])
        if checksum.hexdigest() != expected:
            raise DamagedCheckpoint(f"{path}: the checksum is not that of the content")
        arrays = {}
        for name, entry in entries.items():
            first, last = entry["data_offsets"]
            block = np.frombuffer(content[start + first : start + last], _DTYPES[entry["dtype"]])
            arrays[name] = block.reshape(entry["shape"])
        return arrays, json_text.parse_object(metadata["description"])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedCheckpoint(f"{path}: not a complete checkpoint ({error})") from error


def _header(entries: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    fields = {**entries, "__metadata__": metadata}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("utf-8")

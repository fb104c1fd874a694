"""File format of a checkpoint: named arrays and a description in the safetensors format, with a checksum of both.

The package safetensors writes and reads it. It comes from those who made the format and whose models are shared in it,
so other tools read the files as well; it checks every offset in a header before it reads on, and copies no array to
write it.
"""

import hashlib
import json
import os
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from trainer import atomic, json_text

# The only entry of the metadata, because the package writes several entries in any sequence.
_METADATA = "checkpoint"
_BLOCK = 1 << 20


class DamagedCheckpoint(Exception):  # noqa: N818 (a state of the file)
    """Raised when a file is incomplete or its content has changed."""


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: File to write or to replace.
        arrays: Arrays of any shape by name.
        description: Anything that JSON can hold.

    Raises:
        OSError: If the file cannot be written; it is as it was before.
        ValueError: If the format does not have the type of an array.
    """
    # The package writes the memory of an array as it lies there.
    contents = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = _as_text(description)
    metadata = json.dumps({"description": text, "sha256": _checksum(contents, text)})
    with atomic.replacing(path) as temporary:
        try:
            safetensors_numpy.save_file(contents, temporary, {_METADATA: metadata})
        except safetensors.SafetensorError as error:
            refused = ValueError(f"`arrays` must be of types that the format has. Received: {error}")
            raise _os_error(error) or refused from error


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
    _read_header(path)
    try:
        # Mapped arrays would count twice in the memory of the process, and an error of the disk would end it.
        with safetensors.safe_open(path, framework="numpy", backend="pread") as file:
            metadata, arrays = file.metadata(), file.get_tensors()
        if _METADATA in metadata:
            fields = json_text.parse_object(metadata[_METADATA])
            found = _checksum(arrays, fields["description"])
        else:
            fields, found = metadata, _checksum_before(path)
        if found != fields["sha256"]:
            raise DamagedCheckpoint(f"{path}: the checksum is not that of the content")
        return arrays, json_text.parse_object(fields["description"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _os_error(error) or DamagedCheckpoint(f"{path}: not a complete checkpoint ({error})") from error


def checksum(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> str:
    """Returns the checksum of a checkpoint with this content, as it stands in the file that `write` makes of it."""
    return _checksum(arrays, _as_text(description))


def _as_text(description: Mapping[str, Any]) -> str:
    return json.dumps(description, sort_keys=True)


def _read_header(path: str | os.PathLike[str]) -> None:
    """Raises the error of the system that keeps a file from being opened, or its header from being read.

    The package reports each failure to open a file as a missing one. It reads the header from a mapping of the file,
    for `pread` too, where a bad sector would end the process.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        file.read(min(length, os.fstat(file.fileno()).st_size))  # A damaged length can be any number.


def _checksum(arrays: Mapping[str, np.ndarray], description: str) -> str:
    """SHA-256 of the description in JSON, and of each array with its name, type and shape."""
    checksum = hashlib.sha256(description.encode("utf-8"))
    for name, array in sorted(arrays.items()):
        checksum.update(json.dumps([name, array.dtype.name, array.shape]).encode("utf-8"))
        checksum.update(array.reshape(-1).view(np.uint8).data)
    return checksum.hexdigest()


def _checksum_before(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file as earlier versions made it: of the header without the checksum in it, and of all that follows.

    Their metadata has the description and the checksum as two entries.
    """
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json_text.parse_object(file.read(length))
        del header["__metadata__"]["sha256"]
        checksum = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode("utf-8"))
        while block := file.read(_BLOCK):
            checksum.update(block)
    return checksum.hexdigest()


def _os_error(error: Exception) -> OSError | None:
    """The error of the operating system that an error of the package quotes, if any."""
    quoted = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, safetensors.SafetensorError) else None
    return OSError(int(quoted[1]), os.strerror(int(quoted[1]))) if quoted else None

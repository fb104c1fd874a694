"""Reads the files of a Hugging Face checkpoint: its config, and its tensors as float32 arrays."""

import json
import pathlib
import zipfile
from typing import Any

import numpy as np
from safetensors import numpy as safetensors_numpy

# The first of these that exists is read, as in transformers; an index names the files of a sharded checkpoint.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_INDEX = ".index.json"


def read_config(directory: pathlib.Path) -> dict[str, Any]:
    """Reads `config.json`.

    Args:
        directory: a folder that `save_pretrained` wrote.

    Raises:
        FileNotFoundError: if there is no such directory, or no such file in it.
        ValueError: if the file is no JSON object.
    """
    return _read_json(directory, "config.json")


def read_tensors(directory: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads all tensors, floating ones as float32.

    Args:
        directory: a folder that `save_pretrained` wrote.

    Returns:
        Arrays by name.

    Raises:
        FileNotFoundError: if there are no weights, or a file that the index names is missing.
        ValueError: if a file cannot be read, or if reading it takes torch and torch is not installed.
    """
    chosen = next((name for name in _WEIGHTS if (directory / name).is_file()), None)
    if chosen is None:
        raise FileNotFoundError(_missing(directory, " or ".join(_WEIGHTS)))
    if not chosen.endswith(_INDEX):
        return _read_file(directory, chosen)
    shards = _read_json(directory, chosen).get("weight_map")
    if not isinstance(shards, dict):
        raise ValueError(f"{chosen} must have a weight_map. Received: {directory / chosen}")
    outside = [name for name in shards.values() if not _is_file_name(name)]
    if outside:
        raise ValueError(
            f"The weight_map of {chosen} must name files of the same folder. Received: {directory / chosen} with "
            f"{outside[0]!r}"
        )
    tensors: dict[str, np.ndarray] = {}
    for shard in sorted(set(shards.values())):
        tensors.update(_read_file(directory, shard))
    absent = sorted(set(shards) - set(tensors))
    if absent:
        raise ValueError(
            f"The files must hold every tensor that {chosen} names. Received: {directory} without {absent}"
        )
    return tensors


def _is_file_name(name: Any) -> bool:
    """Whether the name is that of a file in the same folder, and cannot lead out of it."""
    return isinstance(name, str) and "\0" not in name and name not in ("", ".", "..") and "/" not in name


def _read_json(directory: pathlib.Path, name: str) -> dict[str, Any]:
    if not (directory / name).is_file():
        raise FileNotFoundError(_missing(directory, name))
    try:
        content = json.loads((directory / name).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be JSON. Received: {directory / name}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object. Received: {directory / name}: {type(content).__name__}")
    return content


def _read_file(directory: pathlib.Path, name: str) -> dict[str, np.ndarray]:
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(_missing(directory, name))
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors_numpy.load_file(path)
        except Exception as error:  # The library raises its own class, which is no ValueError.
            raise ValueError(f"{name} must be a safetensors file. Received: {path}: {error}") from error
    else:
        tensors = _read_with_torch(path)
    return {key: _plain(tensor) for key, tensor in tensors.items()}


def _read_with_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    _check_unpacked_size(path)
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f"{path.name} is a pickle of torch: install torch to read it, or save the model as model.safetensors (a"
            f" newer transformers does). Received: {path}, and no torch"
        ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {
            name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in content.items()
        }
    except Exception as error:  # Errors of torch, of pickle or of zip files.
        raise ValueError(f"{path.name} must hold tensors by name. Received: {path}: {error}") from error


def _check_unpacked_size(path: pathlib.Path) -> None:
    """Refuses compressed zip files: torch writes its files without compression, but would read compressed ones."""
    try:
        with zipfile.ZipFile(path) as file:
            unpacked = sum(entry.file_size for entry in file.infolist())
    except zipfile.BadZipFile:
        return  # A file of an old release, or not of torch, which torch reports itself.
    if unpacked > path.stat().st_size:
        raise ValueError(
            f"{path.name} must not unpack to more than its size. Received: {path}, which unpacks to {unpacked:,} bytes"
        )


def _plain(tensor: np.ndarray) -> np.ndarray:
    """Converts floating arrays of any precision to float32; in numpy bfloat16 is a dtype of kind `V`."""
    return tensor.astype(np.float32) if tensor.dtype.kind in "fV" else tensor


def _missing(directory: pathlib.Path, wanted: str) -> str:
    if not directory.is_dir():
        return f"directory must be a folder with {wanted}. Received: {directory}, which is no folder"
    found = sorted(path.name for path in directory.iterdir())
    return f"directory must hold {wanted}. Received: {directory}, which holds {', '.join(found) or 'nothing'}"

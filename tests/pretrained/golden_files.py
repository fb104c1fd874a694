"""Small checkpoints of transformers with their outputs (see `make_golden`)."""

import json
import pathlib

import numpy as np
from safetensors import numpy as safetensors_numpy

FOLDER = pathlib.Path(__file__).with_name("golden")
NAMES = ("base", "by_length", "causal", "classifier", "masked_lm", "questions")


def read(name):
    """The content of a golden file, as nested dicts."""
    content = {}
    with np.load(FOLDER / f"{name}.npz") as file:
        for key in file.files:
            *path, last = key.split("/")
            part = content
            for step in path:
                part = part.setdefault(step, {})
            part[last] = file[key]
    return content


def write(folder, content, without=(), tensors=None, **fields):
    """Writes a checkpoint with other fields and tensors, and returns its folder."""
    config = {**json.loads(content["config"].tobytes()), **fields}
    config = {name: value for name, value in config.items() if name not in without}
    (folder / "config.json").write_text(json.dumps(config))
    chosen = {name: value for name, value in (tensors or content["tensors"]).items() if name not in without}
    safetensors_numpy.save_file(chosen, folder / "model.safetensors")
    return folder


def rotations(run):
    """The rotations of a run by index of the layer."""
    return {int(index): value for index, value in run.get("rotations", {}).items()}


def buckets(run):
    """The buckets of each LSH layer in a run."""
    found = run.get("buckets", {})
    return [found[index].astype(np.int32) for index in sorted(found, key=int)]

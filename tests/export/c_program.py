"""Builds and runs `score_text.c`."""

import pathlib
import shutil
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_SOURCE = pathlib.Path(__file__).with_name("score_text.c")


def build(folder: pathlib.Path) -> pathlib.Path:
    """Compiles and links the program; skips the test if that is not possible."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler called cc")
    include, library = tf.sysconfig.get_include(), tf.sysconfig.get_lib()
    libraries = [f"{library}/libtensorflow_cc.so.2", f"{library}/libtensorflow_framework.so.2"]
    if not all(pathlib.Path(path).exists() for path in libraries):
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    built = folder / "score_text"
    command = [compiler, "-Wall", "-Werror", "-O1", f"-I{include}", str(_SOURCE), "-o", str(built), *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{library}"], check=True)
    return built


def score(
    program: pathlib.Path, exported: pathlib.Path, output: str, texts: list[str], libraries: Sequence[pathlib.Path] = ()
) -> list[str]:
    """The lines that the program prints for the texts, for one output of the signature `score`."""
    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["score"]
    names = [signature.inputs["text"].name, signature.outputs[output].name]
    flags = [f"--library={path}" for path in libraries]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # An empty environment, without PYTHONPATH.
    command = [str(program), *flags, str(exported), *names, *texts]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(texts)
    return lines


def numbers(line: str) -> np.ndarray:
    """The numbers in a line that is no error."""
    word, *found = line.split()
    assert word == "ok", line
    return np.array([float(number) for number in found], np.float32)

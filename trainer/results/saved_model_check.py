"""Compares the logits of an exported model, run in a process that imports only TensorFlow, with those of the model."""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

_PROGRAM = """
import sys
import tensorflow as tf
folder, logits, *names = sys.argv[1:]
predict = tf.saved_model.load(folder).signatures["predict"]
inputs = {name: tf.io.parse_tensor(tf.io.read_file(name), tf.int32) for name in names}
tf.io.write_file(logits, tf.io.serialize_tensor(predict(**inputs)["logits"]))
"""
_NAME_IN_MODEL = {"ids_pair": "pair_ids"}  # Where it is another one than in the signature.


def largest_difference(model: keras.Model, exported: pathlib.Path, request: Mapping[str, np.ndarray]) -> float:
    """Compares the logits of an exported model with those of the model itself.

    Args:
        model: The model that was exported.
        exported: Folder of one version of the export.
        request: Inputs of the signature `predict` by name, `[B, L]` int32 without padding.

    Returns:
        The largest difference of any logit.

    Raises:
        RuntimeError: If the export cannot be loaded or run; the message ends with the output of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, ids in request.items():
            tf.io.write_file(str(pathlib.Path(folder, name)), tf.io.serialize_tensor(tf.constant(ids, tf.int32)))
        answer = pathlib.Path(folder, "logits")
        # -c puts the working directory on the path; this one has no module to import by mistake.
        arguments = [sys.executable, "-c", _PROGRAM, str(exported.resolve()), str(answer), *request]
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            expected = _logits(model, request)  # While the other process starts.
            _, said = process.communicate()
        finally:
            process.kill()
        if process.returncode:
            raise RuntimeError(f"{exported} could not be loaded with TensorFlow alone: {said[-2000:]}")
        found = tf.io.parse_tensor(tf.io.read_file(str(answer)), tf.float32).numpy()
    return float(np.max(np.abs(found - expected)))


def _logits(model: keras.Model, request: Mapping[str, np.ndarray]) -> np.ndarray:
    # A graph, as in the export: rounding differs between eager mode and graphs, and can move a token to another bucket.
    inputs = {_NAME_IN_MODEL.get(name, name): tf.constant(ids, tf.int32) for name, ids in request.items()}
    specs = {name: tf.TensorSpec([None, None], tf.int32) for name in inputs}
    return tf.function(model, input_signature=[specs], autograph=False)(inputs).numpy()

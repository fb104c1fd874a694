"""Compares the logits of an exported model, run in a process that imports only TensorFlow, with those of the model."""

import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

_PROGRAM = """
import sys
import tensorflow as tf
folder, ids, logits = sys.argv[1:]
predict = tf.saved_model.load(folder).signatures["predict"]
ids = tf.io.parse_tensor(tf.io.read_file(ids), tf.int32)
tf.io.write_file(logits, tf.io.serialize_tensor(predict(ids=ids)["logits"]))
"""


def largest_difference(model: keras.Model, exported: pathlib.Path, ids: np.ndarray) -> float:
    """Compares the logits of an exported model with those of the model itself.

    Args:
        model: The model that was exported.
        exported: Folder of one version of the export.
        ids: `[B, L]` int32.

    Returns:
        The largest difference of any logit.

    Raises:
        RuntimeError: If the export cannot be loaded or run; the message ends with the output of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, answer = pathlib.Path(folder, "ids"), pathlib.Path(folder, "logits")
        tf.io.write_file(str(question), tf.io.serialize_tensor(tf.constant(ids, tf.int32)))
        # -c puts the working directory on the path; this one has no module to import by mistake.
        arguments = [sys.executable, "-c", _PROGRAM, str(exported.resolve()), str(question), str(answer)]
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            expected = _logits(model, ids)  # While the other process starts.
            _, said = process.communicate()
        finally:
            process.kill()
        if process.returncode:
            raise RuntimeError(f"{exported} could not be loaded with TensorFlow alone: {said[-2000:]}")
        found = tf.io.parse_tensor(tf.io.read_file(str(answer)), tf.float32).numpy()
    return float(np.max(np.abs(found - expected)))


def _logits(model: keras.Model, ids: np.ndarray) -> np.ndarray:
    # A graph, as in the export: rounding differs between eager mode and graphs, and can move a token to another bucket.
    call = tf.function(model, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    return call(tf.constant(ids, tf.int32)).numpy()

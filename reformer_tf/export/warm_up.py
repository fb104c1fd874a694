"""Warm-up requests, which TensorFlow Serving runs when it loads a version, before it reports the version as available.

Serving reads them from a TFRecord of `PredictionLog` messages. These are written here field by field, because their
classes come with `tensorflow-serving-api`, which nothing else in the package needs.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

FILE = "tf_serving_warmup_requests"


def write(folder: pathlib.Path, examples: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes one request for each signature.

    Args:
        folder: the `assets.extra` of an export.
        examples: by name of the signature, the values by name of the input.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for signature, inputs in examples.items():
            writer.write(_prediction_log(signature, inputs))


def _prediction_log(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """The message PredictionLog.predict_log.request = PredictRequest(model_spec, inputs), by field numbers."""
    model_spec = _field(3, signature.encode())  # signature_name
    entries = [
        _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString())
        for name, value in inputs.items()
    ]
    request = _field(1, model_spec) + b"".join(_field(2, entry) for entry in entries)
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field with bytes, a string or a message: its number and type, the size, the content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """An integer in seven bits a byte, the lowest first; the highest bit of a byte says that more follow."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])

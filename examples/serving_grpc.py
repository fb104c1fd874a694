"""Asks a TensorFlow Serving server over gRPC for the score of a text, or for a continuation of it.

    python -m examples.serving_grpc --server=localhost:8500 --model=reformer --text="def main():"
    python -m examples.serving_grpc --generate --max_new_tokens=100 --temperature=0.8 --text="def "

It needs the packages absl-py and tensorflow-serving-api, which installs grpcio and tensorflow.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from absl import app, flags
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_SERVER = flags.DEFINE_string("server", "localhost:8500", "HOST:PORT of the gRPC server.")
_MODEL = flags.DEFINE_string("model", "reformer", "Name under which the server has the model.")
_TEXT = flags.DEFINE_multi_string("text", None, "A text; several are one request.", required=True)
_GENERATE = flags.DEFINE_bool("generate", False, "Continues the texts instead of scoring them.")
_MAX_NEW_TOKENS = flags.DEFINE_integer("max_new_tokens", 100, "Largest number of tokens to generate.")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.8, "0 takes the likeliest token each time.")
_TOP_K = flags.DEFINE_integer("top_k", 0, "Number of likeliest tokens to draw from; 0: all.")
_TOP_P = flags.DEFINE_float("top_p", 1.0, "Draws from the likeliest tokens that together have this probability.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same text.")
_TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds to wait.")


def predict(server: str, model: str, signature: str, inputs: Mapping[str, np.ndarray], timeout: float) -> Any:
    """Sends one request.

    Args:
        server: HOST:PORT.
        model: Name of the model at the server.
        signature: Name of the signature.
        inputs: Arrays by name of the input. Strings are arrays of `bytes` with dtype `object`.
        timeout: Seconds.

    Returns:
        Arrays by name of the output.

    Raises:
        grpc.RpcError: If there is no answer in time, or the request was refused.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    with grpc.insecure_channel(server, [("grpc.max_receive_message_length", -1)]) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout)
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def shown(text: bytes) -> str:
    """Decodes bytes for the terminal; bytes and characters that it cannot show are escaped or replaced."""
    encoding = sys.stdout.encoding or "ascii"
    return text.decode("utf-8", errors="replace").encode(encoding, errors="backslashreplace").decode(encoding)


def main(arguments: list[str]) -> int:
    """Sends the request that the flags describe and prints the answer."""
    del arguments
    texts = [os.fsencode(text) for text in _TEXT.value]  # The bytes of the command line, which need not be UTF-8.
    inputs: dict[str, np.ndarray] = {"text": np.array(texts, object)}
    if _GENERATE.value:
        settings: dict[str, tuple[Any, Any]] = {
            "max_new_tokens": (_MAX_NEW_TOKENS.value, np.int32),
            "temperature": (_TEMPERATURE.value, np.float32),
            "top_k": (_TOP_K.value, np.int32),
            "top_p": (_TOP_P.value, np.float32),
            "seed": (_SEED.value, np.int32),
        }
        inputs |= {name: np.full(len(texts), value, dtype) for name, (value, dtype) in settings.items()}
    signature = "generate" if _GENERATE.value else "score"
    try:
        outputs = predict(_SERVER.value, _MODEL.value, signature, inputs, _TIMEOUT.value)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
        return 1
    if _GENERATE.value:
        for text, new in zip(texts, outputs["generated_text_bytes"], strict=True):
            print(shown(text + new))
    else:
        for text, bits in zip(texts, outputs["bits_per_byte"], strict=True):
            print(f"{bits:.4f} bits per byte: {shown(text)!r}")
    return 0


if __name__ == "__main__":
    app.run(main)

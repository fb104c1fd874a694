"""Test doubles of TensorFlow Serving's gRPC and REST servers, on loopback.

They speak its protocols and answer with the results of the loaded SavedModel. They do not batch, and load one version.
"""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import threading

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

NAME = "reformer"


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, signatures):
        self._signatures = signatures

    def Predict(self, request, context):  # noqa: N802
        name = request.model_spec.signature_name or "serving_default"
        if request.model_spec.name != NAME:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
        if name not in self._signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature key not found: {name}")
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        try:
            outputs = _run(self._signatures[name], inputs)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


def _run(signature, inputs):
    """Calls a signature as a server does: every input must be there and of the right type.

    Raises:
        ValueError: for a request that is not valid, with the export's own message if the export refuses it.
    """
    wanted = {spec.name: spec for spec in signature.structured_input_signature[1].values()}
    if set(inputs) != set(wanted):
        raise ValueError(f"inputs must be {sorted(wanted)}. Received: {sorted(inputs)}")
    try:
        return signature(**inputs)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from error


@contextlib.contextmanager
def grpc_server(signatures):
    """Runs a prediction service; yields its address."""
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(signatures), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()


@contextlib.contextmanager
def rest_server(signatures):
    """Runs the predict method of the REST interface; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{NAME}:predict":
                return self._answer(404, {"error": f"Malformed request: POST {self.path}"})
            try:
                return self._answer(200, _rest_answer(signatures, body))
            except ValueError as error:
                return self._answer(400, {"error": str(error)})

        def _answer(self, code, content):
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _rest_answer(signatures, body):
    """Answers rows with rows ("instances"), or columns with columns ("inputs")."""
    signature = signatures[body.get("signature_name", "serving_default")]
    specs = {spec.name: spec for spec in signature.structured_input_signature[1].values()}
    by_row = "instances" in body
    columns = body["inputs"] if not by_row else _columns(body["instances"], list(specs))
    if not isinstance(columns, dict):  # The only input needs no name.
        (name,) = specs
        columns = {name: columns}
    inputs = {name: tf.constant(_from_json(value), specs[name].dtype) for name, value in columns.items()}
    outputs = {name: _to_json(name, value.numpy()) for name, value in _run(signature, inputs).items()}
    if len(outputs) == 1:
        (outputs,) = outputs.values()
        return {"predictions" if by_row else "outputs": outputs}
    if not by_row:
        return {"outputs": outputs}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _columns(instances, names):
    if isinstance(instances[0], dict) and set(instances[0]) != {"b64"}:
        return {name: [instance[name] for instance in instances] for name in names}
    return {names[0]: instances}


def _from_json(value):
    if isinstance(value, list):
        return [_from_json(entry) for entry in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _to_json(name, value):
    """Values whose names end in _bytes are base64, as in TensorFlow Serving; other strings must be UTF-8."""
    if value.dtype != object:
        return value.tolist()
    encode = (lambda x: {"b64": base64.b64encode(x).decode()}) if name.endswith("_bytes") else bytes.decode
    return [encode(entry) for entry in np.asarray(value).tolist()]

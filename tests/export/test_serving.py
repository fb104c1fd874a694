"""The protocols of TensorFlow Serving, on loopback, with the loaded export behind them; and its warm-up requests."""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_serving", reason="the package tensorflow-serving-api is not installed")
import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.export import servers
from tests.trainer import command_line

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address(loaded):
    with servers.grpc_server(loaded.signatures) as address:
        yield address


@pytest.fixture(scope="module")
def stub(address):
    with grpc.insecure_channel(address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def rest_address(loaded):
    with servers.rest_server(loaded.signatures) as address:
        yield address


def _request(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = servers.NAME
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def _predict(stub, signature, **inputs):
    response = stub.Predict(_request(signature, **inputs), timeout=60)
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def test_scores_over_grpc(loaded, stub):
    texts = [b"def main():", b"\xff\x00"]
    found = _predict(stub, "score", text=texts)
    expected = loaded.signatures["score"](text=tf.constant(texts))
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_ids_over_grpc(loaded, stub):
    ids = np.array([[1, 2, 3], [4, 5, -1]], np.int32)
    for name in ("predict", "serving_default", "embed", "score_ids"):
        found = _predict(stub, name, ids=ids)
        for output, value in loaded.signatures[name](ids=tf.constant(ids)).items():
            np.testing.assert_allclose(found[output], value, atol=1e-5)


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("score", {"text": [b"a", b""]}, "`text` must have from 1 to 4096 bytes a row"),
        ("score", {"text": np.array([1], np.int32)}, "string"),
        ("score", {"text": b"abc"}, r"`text` must have a shape \[B\]"),
        ("score", {}, r"inputs must be \['text'\]. Received: \[\]"),
        ("predict", {"ids": np.array([[300]], np.int32)}, "`ids` must be from 0 to 256"),
        ("score_text", {"text": [b"a"]}, "Serving signature key not found: score_text"),
    ],
)
def test_an_invalid_request_over_grpc_and_then_a_valid_one(stub, signature, inputs, message):
    with pytest.raises(grpc.RpcError, match=message) as error:
        _predict(stub, signature, **inputs)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert _predict(stub, "score", text=[b"a"])["bits_per_byte"].shape == (1,)


def _client(name, *arguments):
    command = [sys.executable, "-m", f"examples.{name}", f"--model={servers.NAME}", *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout.splitlines(), result.stderr


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_example_clients_score(loaded, address, rest_address, protocol):
    server = f"--server={address if protocol == 'grpc' else rest_address}"
    code, lines, err = _client(f"serving_{protocol}", server, "--text=def main():", "--text=é", b"--text=\xff\x1b")
    assert code == 0, err
    bits = loaded.signatures["score"](text=tf.constant([b"def main():", "é".encode(), b"\xff\x1b"]))["bits_per_byte"]
    shown = ("'def main():'", "'é'", "'\ufffd\\x1b'")
    assert lines == [f"{score:.4f} bits per byte: {text}" for score, text in zip(bits.numpy(), shown, strict=True)]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_example_clients_generate(loaded, address, rest_address, protocol, capsys):
    server = f"--server={address if protocol == 'grpc' else rest_address}"
    flags = ("--generate", "--max_new_tokens=5", "--temperature=0", os.fsdecode(b"--text=def \xff"))
    assert command_line.run_example(f"serving_{protocol}", f"--model={servers.NAME}", server, *flags) == 0
    new = loaded.model.generate([[256, *b"def \xff"]], 5, stop_tokens=[256])[0]
    text = (b"def \xff" + bytes(token for token in new if token < 256)).decode("utf-8", errors="replace")
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_example_clients_say_what_is_wrong(address, rest_address, protocol, capsys):
    server = f"--server={address if protocol == 'grpc' else rest_address}"
    assert command_line.run_example(f"serving_{protocol}", f"--model={servers.NAME}", server, "--text=") == 1
    assert "`text` must have from 1 to 4096 bytes a row" in capsys.readouterr().out.replace("\n", " ")


def _post(address, **body):
    request = urllib.request.Request(f"{address}/v1/models/{servers.NAME}:predict", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_rows_and_columns_over_rest(loaded, rest_address):
    """The forms that docs/serving.md shows."""
    bits = loaded.signatures["score"](text=tf.constant(["ab", "c"]))["bits_per_byte"].numpy()
    rows = _post(rest_address, signature_name="score", instances=["ab", {"b64": "Yw=="}])["predictions"]
    np.testing.assert_allclose([row["bits_per_byte"] for row in rows], bits, atol=1e-5)
    columns = _post(rest_address, signature_name="score", inputs={"text": ["ab", "c"]})["outputs"]
    np.testing.assert_allclose(columns["bits_per_byte"], bits, atol=1e-5)
    (logits,) = _post(rest_address, instances=[[1, 2, 3]])["predictions"]
    expected = loaded.signatures["predict"](ids=tf.constant([[1, 2, 3]]))["logits"][0]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        _post(rest_address, signature_name="score", inputs="abc")  # A text instead of a list of texts.
    assert "`text` must have a shape [B]" in json.load(error.value)["error"]
    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        _post(rest_address, signature_name="score", instances=[""])
    assert "`text` must have from 1 to 4096 bytes" in json.load(error.value)["error"]


def test_the_requests_of_the_documentation(rest_address):
    """Every body of `docs/serving.md` is sent unchanged, and answered in the form shown there."""
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    generate, score = (json.loads(body) for body in re.findall(r"-d '(.*?)'\n", page, re.DOTALL))
    (prediction,) = _post(rest_address, **generate)["predictions"]
    assert list(prediction) == ["b64"]
    predictions = _post(rest_address, **score)["predictions"]
    assert [sorted(row) for row in predictions] == [["bits_per_byte", "token_log_probabilities"]] * 2


def test_the_file_of_models():
    text = (ROOT / "examples" / "serving_config" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("reformer", "/models/reformer")


def test_warm_up_requests(loaded):
    records = tf.data.TFRecordDataset(str(loaded.path / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records.as_numpy_iterator()]
    assert len(logs) <= 1000  # TensorFlow Serving's limit.
    seen = set()
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        seen.add(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert all(len(output) == 1 for output in outputs.values())
    assert seen == set(loaded.signatures) - {"serving_default"}

"""The signatures of a classifier, of single texts and of pairs, with and without a tokenizer."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import ByteTokenizer, export_saved_model
from reformer_tf.models import ReformerClassifier
from tests.models import cases

LABELS = ("bad", "so-so", "good")
LONGEST = 40
ROWS = [(b"a good day", b"x"), (b"b", b"another one, longer"), (bytes(range(30)), b"\xff\0")]
# Padding would change its results: rows are computed one by one.
_CHUNKS = {"attention_options": {"local": {"window": "chunk", "wrap": True, "length_multiple": 8}}}
_EXPORTS = {
    "text": {"tokenizer": ByteTokenizer(), "labels": LABELS},
    "pairs of texts": {"tokenizer": ByteTokenizer(), "labels": LABELS, "pair": True},
    "pairs of ids": {"tokenizer": None, "labels": (), "pair": True, **_CHUNKS},
}


def _make(pair=False, **options):
    keras.utils.set_random_seed(0)
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "key_dim": 8, "intermediate_dim": 24}
    kinds = {"attention_layers": ["local"], "chunk_length": 8}
    model = ReformerClassifier(257, LONGEST, **sizes, **kinds, **options, num_classes=3, pair=pair)
    return cases.perturb(model)


# The export of pairs of texts has what the others have.
_NAMES = [pytest.param(name, marks=() if name == "pairs of texts" else pytest.mark.slow) for name in _EXPORTS]


@pytest.fixture(scope="module", params=_NAMES)
def export(request, tmp_path_factory):
    """The model, the folder, the loaded export, and whether it has pairs and text."""
    options = dict(_EXPORTS[request.param])
    tokenizer, labels = options.pop("tokenizer"), options.pop("labels")
    model = _make(**options)
    logits = [_logits(model, row, tokenizer is not None) for row in ROWS]
    model.output_projection.bias.assign_sub(np.mean(logits, axis=0))  # So that rows differ in their class.
    folder = export_saved_model(model, tmp_path_factory.mktemp("classifier"), tokenizer, labels=labels)
    return model, folder, tf.saved_model.load(folder), model.pair, tokenizer is not None


def _request(rows, pair, text):
    """The request of the rows: texts, or ids with -1 after them."""
    parts = [list(part) for part in zip(*rows, strict=True)][: 2 if pair else 1]
    names = ("text", "text_pair") if text else ("ids", "ids_pair")
    if text:
        return {name: tf.constant(part) for name, part in zip(names, parts, strict=False)}
    made = {}
    for name, part in zip(names, parts, strict=False):
        made[name] = tf.constant([[*row, *[-1] * (max(map(len, part)) - len(row))] for row in part])
    return made


def _logits(model, row, text):
    """The logits of one row by the model itself."""
    names = ("ids", "pair_ids") if model.pair else ("ids",)
    ids = [tf.constant([[256, *part] if text else [*part]], tf.int32) for part in row]
    return _graph(model)(dict(zip(names, ids, strict=False)))[0]


@functools.lru_cache(maxsize=4)
def _graph(model):
    """Runs in a graph, as an export does."""
    names = ("ids", "pair_ids") if model.pair else ("ids",)
    specs = {name: tf.TensorSpec([None, None], tf.int32) for name in names}
    return tf.function(model, input_signature=[specs], autograph=False)


def test_classify_gives_what_the_model_says_whatever_the_neighbours(export):
    model, _, loaded, pair, text = export
    outputs = loaded.signatures["classify"](**_request(ROWS, pair, text))
    assert {name: value.dtype for name, value in outputs.items()} == {
        "probabilities": tf.float32,
        "label": tf.string,
        "class": tf.int32,
    }
    for number, row in enumerate(ROWS):
        expected = tf.nn.softmax(_logits(model, row, text)).numpy()
        np.testing.assert_allclose(outputs["probabilities"][number], expected, atol=1e-5)
        likeliest = int(expected.argmax())
        assert outputs["class"][number] == likeliest
        assert outputs["label"][number].numpy().decode() == (LABELS[likeliest] if text else str(likeliest))
        alone = loaded.signatures["classify"](**_request([row], pair, text))
        np.testing.assert_allclose(alone["probabilities"][0], expected, atol=1e-5)
    assert len({*outputs["class"].numpy()}) > 1


def test_predict_gives_logits(export):
    model, _, loaded, pair, _ = export
    logits = loaded.signatures["predict"](**_request(ROWS, pair, text=False))["logits"]
    for row, found in zip(ROWS, logits, strict=True):
        np.testing.assert_allclose(found, _logits(model, row, text=False), atol=1e-5)


def test_an_empty_text_is_a_boundary_alone(export):
    model, _, loaded, pair, text = export
    if text:
        outputs = loaded.signatures["classify"](**_request([(b"", b"")], pair, text))
        np.testing.assert_allclose(
            outputs["probabilities"][0], tf.nn.softmax(_logits(model, (b"", b""), text)), atol=1e-5
        )


def test_requests_that_are_refused(export):
    _, _, loaded, pair, text = export
    first, second = ("text", "text_pair") if text else ("ids", "ids_pair")
    long = b"a" * (LONGEST if text else LONGEST + 1)
    longest = f"from 0 to {LONGEST - 1} bytes a row" if text else f"at most {LONGEST} columns"
    refused = [({first: [(long, b"a")]}, f"`{first}` must have {longest}")]
    if pair:
        refused.append(({second: [(b"a", long)]}, f"`{second}` must have {longest}"))
    for cases_by_name, message in refused:
        (rows,) = cases_by_name.values()
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            loaded.signatures["classify"](**_request(rows, pair, text))
    if pair:
        request = _request(ROWS, pair, text)
        request[second] = request[second][:2]
        rule = f"`{second}` must have one entry for each row of `{first}`"
        with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
            loaded.signatures["classify"](**request)


def test_warm_up_requests(export):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    _, folder, loaded, _, _ = export
    records = tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests"))
    requests = {}
    for record in records.as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        requests[request.model_spec.signature_name] = request.inputs
    assert sorted(requests) == ["classify", "embed", "predict"]
    inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in requests["classify"].items()}
    assert all(len(output) == 1 for output in loaded.signatures["classify"](**inputs).values())


@pytest.mark.slow
def test_classify_takes_nothing_but_tensorflow(export, tmp_path):
    """In a process without this package on its path."""
    _, folder, loaded, pair, text = export
    request = _request(ROWS[:1], pair, text)
    inputs = ", ".join(f"{name}=tf.constant({value.numpy().tolist()!r})" for name, value in request.items())
    code = f"""
import json
import sys
import tensorflow as tf
module = tf.saved_model.load({str(folder)!r})
outputs = module.signatures["classify"]({inputs})
assert not [name for name in sys.modules if name.startswith("reformer_tf")]
print(json.dumps([outputs["probabilities"].numpy().tolist(), outputs["label"].numpy()[0].decode()]))
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    arguments = [sys.executable, "-c", code]
    said = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    probabilities, label = json.loads(said.stdout)
    expected = loaded.signatures["classify"](**request)
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-6)
    assert label == expected["label"][0].numpy().decode()


def test_the_model_card_and_the_table_of_the_documentation(export):
    _, folder, loaded, pair, text = export
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert card.get("labels") == (list(LABELS) if text else None)
    assert card["model"]["config"]["pair"] is pair
    assert sorted(loaded.signatures) == ["classify", "embed", "predict", "serving_default"]
    if not (pair and text):
        return
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "serving.md"
    table = page.read_text(encoding="utf-8").split("### A classifier")[1].split("\n\n")[1]
    cells = [line.split("|") for line in table.splitlines()[2:]]
    rows = {name: columns[2:4] for columns in cells for name in re.findall(r"`(\w+)`", columns[1])}
    assert sorted(rows) == sorted(loaded.signatures)
    for name, signature in card["signatures"].items():
        for written, specs in zip(rows[name], (signature["inputs"], signature["outputs"]), strict=True):
            assert {*re.findall(r"`([a-z_]+)`", written)} == {*specs}

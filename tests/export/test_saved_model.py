"""A SavedModel gives the results of the model, for any batch and lengths."""

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
from tensorflow.core.protobuf import saved_model_pb2

from reformer_tf.export import ByteTokenizer, export_saved_model
from reformer_tf.models import ReformerClassifier, ReformerSpanPredictor
from tests.export.conftest import make_model

SIGNATURES = ["embed", "generate", "predict", "score", "score_ids", "serving_default"]


def _ids(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 257, shape).astype(np.int32)


def _padded(rows, length=None):
    ids = np.full([len(rows), length or max(map(len, rows))], -1, np.int32)
    for padded_row, row in zip(ids, rows, strict=True):
        padded_row[: len(row)] = row
    return ids


@functools.lru_cache(maxsize=16)
def _graph(fn):
    """Runs in a graph, as an export does: eager mode rounds differently, which can move a token to another bucket."""
    return tf.function(fn, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)


@pytest.mark.parametrize("shape", [(3, 70), (1, 5), (2, 4096), (1, 1)])
def test_the_outputs_of_the_model(loaded, shape):
    ids = _ids(shape)
    for name in ("predict", "serving_default"):
        outputs = loaded.signatures[name](ids=tf.constant(ids))
        assert list(outputs) == ["logits"]
        assert outputs["logits"].dtype == tf.float32
        np.testing.assert_allclose(outputs["logits"], _graph(loaded.model)(ids), atol=1e-5)
    outputs = loaded.signatures["embed"](ids=tf.constant(ids))
    vectors = _graph(loaded.model.backbone)(ids)
    np.testing.assert_allclose(outputs["token_embeddings"], vectors, atol=1e-5)
    np.testing.assert_allclose(outputs["embedding"], np.mean(vectors, axis=1), atol=1e-5)
    if shape[1] > 1:
        outputs = loaded.signatures["score_ids"](ids=tf.constant(ids))
        losses = _graph(loaded.model.token_losses)(ids).numpy()
        np.testing.assert_allclose(outputs["token_log_probabilities"], -losses, atol=1e-5)
        np.testing.assert_allclose(outputs["bits_per_token"], losses.mean(axis=1) / np.log(2), atol=1e-5)


@pytest.mark.parametrize("lengths", [(3, 70, 20), (5,), (4096, 1, 2048, 17)])
def test_scores_of_text(loaded, lengths):
    texts = [_ids(length, length).astype(np.uint8).tobytes() for length in lengths]
    outputs = loaded.signatures["score"](text=tf.constant(texts))
    assert sorted(outputs) == ["bits_per_byte", "token_log_probabilities"]
    assert {output.dtype for output in outputs.values()} == {tf.float32}
    assert outputs["token_log_probabilities"].shape == [len(lengths), max(lengths)]
    for text, bits, found in zip(texts, outputs["bits_per_byte"], outputs["token_log_probabilities"], strict=True):
        losses = _graph(loaded.model.token_losses)(np.array([[256, *text]], np.int32))[0].numpy()
        np.testing.assert_allclose(found[: len(text)], -losses, atol=1e-5)
        assert not np.any(found[len(text) :])
        assert not np.any(np.signbit(found[len(text) :]))  # 0.0, not -0.0.
        np.testing.assert_allclose(bits, losses.mean() / np.log(2), atol=1e-5)


@pytest.mark.parametrize("kind", ["strictly_causal", "chunks"])
def test_rows_of_ids_do_not_depend_on_padding_and_neighbours(exports, kind):
    model, module = exports[kind].model, exports[kind].module
    rows = [_ids(length, length) for length in (40, 3, 64, 17)]
    for name in ("predict", "embed", "score_ids"):
        together = module.signatures[name](ids=tf.constant(_padded(rows)))
        for number, row in enumerate(rows):
            separate = module.signatures[name](ids=tf.constant(row[None]))
            for output, value in separate.items():
                found = together[output][number].numpy()
                if found.shape != value.shape[1:]:  # One entry a token.
                    assert not np.any(found[value.shape[1] :])
                    assert not np.any(np.signbit(found[value.shape[1] :]))
                    found = found[: value.shape[1]]
                np.testing.assert_allclose(found, value[0], atol=1e-5, err_msg=output)
    outputs = module.signatures["predict"](ids=tf.constant(_padded(rows)))
    for row, found in zip(rows, outputs["logits"], strict=True):
        np.testing.assert_allclose(found[: len(row)], _graph(model)(row[None])[0], atol=1e-5)


def test_rows_of_text_do_not_depend_on_neighbours_where_padding_would_count(exports):
    model, module = exports["chunks"].model, exports["chunks"].module
    assert not model.backbone.strictly_causal
    texts = [b"abc" * 10, b"x", b"def main():" * 5]
    together = module.signatures["score"](text=tf.constant(texts))
    for number, text in enumerate(texts):
        losses = _graph(model.token_losses)(np.array([[256, *text]], np.int32))[0].numpy()
        found = together["token_log_probabilities"][number].numpy()
        np.testing.assert_allclose(found[: len(text)], -losses, atol=1e-5)
        assert not np.any(found[len(text) :])
        np.testing.assert_allclose(together["bits_per_byte"][number], losses.mean() / np.log(2), atol=1e-5)


def test_signatures_and_size(loaded):
    assert sorted(loaded.signatures) == SIGNATURES
    for name in SIGNATURES:
        signature = loaded.signatures[name]
        specs = [*signature.structured_input_signature[1].values(), *signature.structured_outputs.values()]
        assert all(spec.shape[0] is None for spec in specs), "the batch is first and of any size"
    assert _size(loaded.path) < 4 * loaded.model.count_params() + 10 * 2**20


@pytest.mark.slow
def test_the_size_of_a_deep_model(tmp_path):
    model = make_model(max_sequence_length=4096, num_layers=36)
    path = export_saved_model(model, tmp_path)
    assert _size(path) < 4 * model.count_params() + 10 * 2**20


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_weights_once_and_nothing_that_needs_xla(loaded):
    stored = dict(tf.train.list_variables(loaded.path / "variables" / "variables"))
    shapes = sorted(tuple(shape) for name, shape in stored.items() if name.startswith("weights/"))
    assert shapes == sorted(tuple(variable.shape) for variable in loaded.model.variables)
    saved = (loaded.path / "saved_model.pb").read_bytes()
    definition = saved_model_pb2.SavedModel.FromString(saved).meta_graphs[0].graph_def
    assert "_XlaMustCompile" not in str(definition)
    # Weights in the graph would be constants: no constant is larger than the table of bytes.
    constants = [node for function in definition.library.function for node in function.node_def if node.op == "Const"]
    assert max(node.ByteSize() for node in constants) < 8192


def test_loading_takes_nothing_but_tensorflow(loaded, tmp_path):
    """Runs in another process, without this package on the path. Keras itself comes with TensorFlow."""
    code = f"""
import sys
import tensorflow as tf
module = tf.saved_model.load({str(loaded.path)!r})
bits = module.signatures["score"](text=tf.constant(["def main():"]))["bits_per_byte"]
wrong = ("reformer_tf", "tensorflow_text")
print(float(bits[0]), [name for name in sys.modules if name.startswith(wrong)])
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    bits, modules = result.stdout.split(maxsplit=1)
    assert modules.strip() == "[]"
    expected = loaded.signatures["score"](text=tf.constant(["def main():"]))["bits_per_byte"][0]
    assert float(bits) == pytest.approx(float(expected), abs=1e-5)


def test_bytes_with_other_ids(tmp_path):
    model = make_model(vocabulary_size=258, max_sequence_length=64, attention_layers=["local"])
    module = tf.saved_model.load(export_saved_model(model, tmp_path, ByteTokenizer(first=2, boundary=0)))
    ids = np.array([[0, *(value + 2 for value in b"abc")]], np.int32)
    found = module.signatures["score"](text=tf.constant([b"abc"]))["token_log_probabilities"]
    np.testing.assert_allclose(found, -_graph(model.token_losses)(ids), atol=1e-5)
    card = json.loads((tmp_path / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["tokenizer"] == {"kind": "bytes", "first": 2, "boundary": 0}


def test_half_precision_gives_float32(tmp_path):
    model = make_model(max_sequence_length=64, dtype="mixed_bfloat16", attention_layers=["local"])
    module = tf.saved_model.load(export_saved_model(model, tmp_path, tokenizer=None))
    assert sorted(module.signatures) == ["embed", "predict", "score_ids", "serving_default"]
    for name in ("embed", "predict", "score_ids"):
        outputs = module.signatures[name](ids=tf.constant(_ids((2, 20))))
        assert {output.dtype for output in outputs.values()} == {tf.float32}


@pytest.mark.parametrize("kind, window", [(ReformerClassifier, "chunk"), (ReformerSpanPredictor, "bucket")])
def test_other_models_have_predict_and_embed(tmp_path, kind, window):
    more = {"num_classes": 3} if kind is ReformerClassifier else {}
    options = {"attention_options": {"local": {"window": window}}, "chunk_length": 8}
    model = kind(20, 60, 1, 16, 2, 8, 24, ["local"], **options, **more)
    module = tf.saved_model.load(export_saved_model(model, tmp_path))
    more = ["classify"] if kind is ReformerClassifier else []
    assert sorted(module.signatures) == sorted(["embed", "predict", "serving_default", *more])
    rows = [_ids(length, length) % 20 for length in (30, 11)]
    found = module.signatures["predict"](ids=tf.constant(_padded(rows, 35)))
    for number, row in enumerate(rows):
        expected = _graph(model)(row[None])
        expected = expected if isinstance(expected, dict) else {"logits": expected}
        assert sorted(found) == sorted(expected)
        for name, value in expected.items():
            row_output = found[name][number].numpy()
            np.testing.assert_allclose(row_output[: value.shape[1]], value[0], atol=1e-5)
            assert not np.any(row_output[value.shape[1] :])


@pytest.fixture(scope="module")
def small():
    inputs = keras.Input([None], dtype="int32")
    return keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))


def test_the_next_version_is_one_higher(small, tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert export_saved_model(small, tmp_path) == tmp_path / "8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "8", "notes"]
    assert sorted(tf.saved_model.load(tmp_path / "8").signatures) == ["predict", "serving_default"]


@pytest.mark.parametrize("part", ["tensorflow.saved_model.save", "reformer_tf.export.model_card.write"])
def test_a_failed_export_leaves_nothing(small, tmp_path, monkeypatch, part):
    def full_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part, full_disk)
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(small, tmp_path):
    directory = tmp_path / "models"
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: str"):
        export_saved_model("model.keras", directory)
    with pytest.raises(ValueError, match="`tokenizer` must be None for a model that is none of ReformerCausalLM, "):
        export_saved_model(small, directory, ByteTokenizer())
    with pytest.raises(ValueError, match=r"tokenizer must be one of \('auto',\). Received: tokenizer='bytes'"):
        export_saved_model(small, directory, "bytes")
    with pytest.raises(ValueError, match=r"`labels` must be left out for a model that is no ReformerClassifier.*\('a'"):
        export_saved_model(small, directory, labels=("a", "b"))
    few = make_model(vocabulary_size=100, num_layers=1, attention_layers=["local"], max_sequence_length=64)
    with pytest.raises(ValueError, match="which has vocabulary_size=100. Received: ByteTokenizer with 257 ids"):
        export_saved_model(few, directory, ByteTokenizer())
    with pytest.raises(ValueError, match="card must be what JSON knows. Received: .*PosixPath"):
        export_saved_model(small, directory, card={"path": pathlib.Path("x")})
    with pytest.raises(ValueError, match=r"card must not say what the export itself does: model. Received: \{'model'"):
        export_saved_model(small, directory, card={"model": 1})
    with pytest.raises(ValueError, match=r"boundary must not be the id of a byte, from 0 to 255. Received: boundary=7"):
        ByteTokenizer(boundary=7)
    classifier = ReformerClassifier(20, 60, 1, 16, 2, 8, 24, ["local"], num_classes=2)
    for labels in (("a",), ("a", "a"), ("a", 1), "ab", {"a", "b"}, {"a": 0, "b": 1}, None, ("a", "\udc80")):
        with pytest.raises(ValueError, match="`labels` must be 2 different strings. Received: labels="):
            export_saved_model(classifier, directory, labels=labels)
    assert not directory.exists()


def test_the_model_card(small, loaded, tmp_path):
    folder = export_saved_model(small, tmp_path, card={"training": {"steps": 3}})
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert card["training"] == {"steps": 3}
    assert card["tokenizer"] is None
    assert card["versions"]["tensorflow"] == tf.__version__
    card = json.loads((loaded.path / "assets.extra" / "model_card.json").read_text())
    assert card["model"]["parameters"] == loaded.model.count_params()
    assert card["model"]["config"]["max_sequence_length"] == 4096
    assert card["model"]["class"] == "ReformerCausalLM"
    assert sorted(card["signatures"]) == [name for name in SIGNATURES if name != "serving_default"]
    assert card["signatures"]["score"] == {
        "inputs": {"text": {"dtype": "string", "shape": [None]}},
        "outputs": {
            "bits_per_byte": {"dtype": "float32", "shape": [None]},
            "token_log_probabilities": {"dtype": "float32", "shape": [None, None]},
        },
    }


def test_the_table_of_the_documentation(loaded):
    """Names, shapes and types of every signature, as `docs/serving.md` has them."""
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "serving.md"
    table = page.read_text(encoding="utf-8").split("| signature |")[1].split("\n\n")[0]
    cells = [line.split("|") for line in table.splitlines()[2:]]
    rows = {name: columns[2:4] for columns in cells for name in re.findall(r"`(\w+)`", columns[1])}
    assert sorted(rows) == SIGNATURES
    card = json.loads((loaded.path / "assets.extra" / "model_card.json").read_text())
    for name, signature in card["signatures"].items():
        inputs, outputs = rows[name]
        for text, specs in ((inputs, signature["inputs"]), (outputs, signature["outputs"])):
            assert set(re.findall(r"`([a-z_]+)`", text)) == set(specs)
            for output, spec in specs.items():
                assert spec["dtype"] in text
                axes = re.search(rf"`{output}`[^`]* `\[([^\]]*)\]`", text)
                assert axes is None or len(axes.group(1).split(",")) == len(spec["shape"]), (name, output)

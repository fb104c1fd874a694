"""The signatures of a model that makes targets of sources: what it says itself, whatever the neighbours of a row."""

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
from reformer_tf.models import ReformerSeq2Seq

END = 256
LONGEST_SOURCE, LONGEST_TARGET, BEAMS = 30, 24, 4
SOURCES = [b"a good day", b"\xff\0", "ｱｲｳ half".encode(), b"x"]
TARGETS = [b"ein guter Tag", b"y", "\u30a2".encode(), b"\x80 \xff"]
# Of each row: greedy, two beams, drawn, all beams.
SETTINGS = {
    "max_new_tokens": [9, 24, 17, 12],
    "temperature": [0.0, 0.0, 1.3, 0.0],
    "top_k": [0, 0, 0, 0],
    "top_p": [1.0, 1.0, 1.0, 1.0],
    "seed": [0, 0, 5, 0],
    "num_beams": [1, 2, 1, BEAMS],
    "length_penalty": [0.0, 0.6, 0.0, 1.0],
}
# Padding would change what these say: each row is computed by itself.
_CHUNKS = {"lsh": {"window": "chunk", "wrap": True, "length_multiple": 8}}
_EXPORTS = {
    "text": (["local"], {}),
    "ids": (["lsh"], {"attention_options": _CHUNKS, "num_hashes": 2, "tokenizer": None}),
}


def _make(kinds, **options):
    keras.utils.set_random_seed(0)
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 1, "hidden_dim": 16, "num_heads": 2, "key_dim": 8}
    sides = {"encoder_attention_layers": kinds, "decoder_attention_layers": kinds, "intermediate_dim": 24}
    lengths = {"max_source_length": LONGEST_SOURCE, "max_target_length": LONGEST_TARGET, "chunk_length": 4}
    model = ReformerSeq2Seq(257, 257, **lengths, **sizes, **sides, tie_embeddings=False, **options)
    rng = np.random.default_rng(3)
    # So large that the source and the beams' histories matter.
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    # Mostly bytes that can be read. A likely one becomes the end.
    bias, kernel = np.where(np.arange(257) < 128, 0.0, -4.0), model.head.kernel.numpy()
    kernel[:, [ord("&"), END]] = kernel[:, [END, ord("&")]]
    bias[[ord("&"), END]] = bias[[END, ord("&")]]
    model.head.kernel.assign(kernel)
    model.head.bias.assign(bias)
    return model


class _Export:
    def __init__(self, kinds, folder, tokenizer="auto", **options):
        self.model = _make(kinds, **options)
        self.folder = export_saved_model(self.model, folder, tokenizer, max_beams=BEAMS)
        self.loaded = tf.saved_model.load(self.folder)

    def __call__(self, signature, rows=slice(None), **inputs):
        """Calls a signature for some rows of its inputs."""
        function = self.loaded.signatures[signature]
        specs = {spec.name: spec for spec in function.structured_input_signature[1].values()}
        tensors = {
            name: value if tf.is_tensor(value) else tf.constant(value[rows], specs[name].dtype)
            for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in function(**tensors).items()}

    @functools.cached_property
    def losses(self):
        """The model's losses, in a graph as an export is."""
        specs = {name: tf.TensorSpec([None, None], tf.int32) for name in ("source", "target")}
        return tf.function(self.model.token_losses, input_signature=[specs], autograph=False)


def _padded(rows):
    return [[*row, *[-1] * (max(map(len, rows)) - len(row))] for row in rows]


def _generated(model, row, end=END):
    """The ids that the model generates for a row by itself, with the row's settings."""
    own = {name: values[row] for name, values in SETTINGS.items()}
    if own["temperature"]:
        options = {"sampler": "random", "temperature": own["temperature"], "seed": own["seed"]}
    else:
        # One beam is greedy decoding.
        options = {"sampler": "beam", **{name: own[name] for name in ("num_beams", "length_penalty")}}
    stops = [] if end < 0 else [end]
    return model.generate([list(SOURCES[row])], own["max_new_tokens"], stop_tokens=stops, **options)[0]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    kinds, options = _EXPORTS["text"]
    return _Export(kinds, tmp_path_factory.mktemp("text"), **options)


@pytest.fixture(scope="module")
def export_of_ids(tmp_path_factory):
    kinds, options = _EXPORTS["ids"]
    return _Export(kinds, tmp_path_factory.mktemp("ids"), **options)


def test_translate_gives_what_the_model_generates_whatever_the_neighbours(export):
    together = export("translate", source=SOURCES, **SETTINGS)["translation"]
    assert len({*together}) == len(SOURCES)
    ended = set()
    for row in range(len(SOURCES)):
        alone = export("translate", slice(row, row + 1), source=SOURCES, **SETTINGS)["translation"]
        assert alone[0] == together[row]
        if not SETTINGS["temperature"][row]:  # The slow test below compares draws, too.
            ids = _generated(export.model, row)
            assert together[row].decode() == ByteTokenizer().to_bytes(ids).decode("utf-8", "replace")
            ended.add(ids[-1] == END)
    assert ended == {True, False}


def test_score_pair_gives_the_losses_of_the_model_whatever_the_neighbours(export):
    together = export("score_pair", source=SOURCES, target=TARGETS)
    assert {name: value.dtype for name, value in together.items()} == {
        "bits_per_byte": np.float32,
        "token_log_probabilities": np.float32,
    }
    assert together["token_log_probabilities"].shape == (len(TARGETS), max(map(len, TARGETS)) + 1)
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        ids = {"source": tf.constant([[*source]]), "target": tf.constant([[*target, END]])}
        losses = export.model.token_losses(ids)[0].numpy()
        alone = export("score_pair", source=[source], target=[target])
        bits = losses[:-1].sum() / np.log(2) / len(target)
        for answer, index in ((together, row), (alone, 0)):
            found = answer["token_log_probabilities"][index]
            np.testing.assert_allclose(found[: len(losses)], -losses, atol=1e-5)
            assert not np.any(found[len(losses) :])
            np.testing.assert_allclose(answer["bits_per_byte"][index], bits, rtol=1e-5)


_ONE = {"source": [b"abc"], **{name: values[:1] for name, values in SETTINGS.items()}}
_PAIR = {"source": [b"abc"], "target": [b"d"]}
_BEAM = {"num_beams": [2]}
_REFUSED = [
    ("translate", {"source": [b""]}, f"`source` must have from 1 to {LONGEST_SOURCE} bytes a row"),
    ("translate", {"source": [b"a" * 31]}, f"`source` must have from 1 to {LONGEST_SOURCE} bytes a row"),
    ("translate", {"source": tf.zeros([0], tf.string)}, "`source` must have at least one row"),
    ("translate", {"source": tf.constant("abc")}, r"`source` must have a shape \[B\]"),
    ("translate", {"max_new_tokens": [0]}, "`max_new_tokens` must be at least 1"),
    ("translate", {"max_new_tokens": [25]}, f"`max_new_tokens` must be from 1 to {LONGEST_TARGET}"),
    ("translate", {"temperature": [np.nan]}, "`temperature` must be finite and at least 0"),
    ("translate", {"num_beams": [0]}, f"`num_beams` must be from 1 to {BEAMS}"),
    ("translate", {"num_beams": [BEAMS + 1]}, f"`num_beams` must be from 1 to {BEAMS}"),
    ("translate", {**_BEAM, "temperature": [0.5]}, "`num_beams` must be 1 where `temperature` is above 0"),
    ("translate", {**_BEAM, "length_penalty": [-0.1]}, "`length_penalty` must be finite and at least 0"),
    ("translate", {"length_penalty": [0.0, 0.0]}, "`length_penalty` must have one entry for each row of `source`"),
    ("score_pair", {"source": [b""]}, f"`source` must have from 1 to {LONGEST_SOURCE} bytes a row"),
    ("score_pair", {"target": [b""]}, f"`target` must have from 1 to {LONGEST_TARGET - 1} bytes a row"),
    ("score_pair", {"target": [b"a" * 24]}, f"`target` must have from 1 to {LONGEST_TARGET - 1} bytes a row"),
    ("score_pair", {"target": [b"d", b"e"]}, "`target` must have one entry for each row of `source`"),
    ("predict", {"target": [[1, 257]]}, "`target` must be from 0 to 256, or -1 for padding"),
]


def test_requests_that_are_refused(export):
    valid = {"translate": _ONE, "score_pair": _PAIR, "predict": {"source": [[1, 2]], "target": [[3, 4]]}}
    for signature, wrong, message in _REFUSED:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            export(signature, **{**valid[signature], **wrong})
    assert len(export("translate", **_ONE)["translation"]) == 1


def test_predict_and_embed(export):
    source, target = [[1, 2, 3], [4, -1, -1]], [[5, 6], [7, -1]]
    logits = export("predict", source=source, target=target)["logits"]
    expected = export.model({"source": tf.constant([[4]]), "target": tf.constant([[7]])})
    np.testing.assert_allclose(logits[1, :1], expected[0], atol=1e-5)
    assert not np.any(logits[1, 1:])
    outputs = export("embed", source=source)
    vectors = export.model.encode(tf.constant([[4]]), None)[0]
    np.testing.assert_allclose(outputs["token_embeddings"][1], [vectors[0], *np.zeros([2, 16])], atol=1e-5)
    np.testing.assert_allclose(outputs["embedding"][1], vectors[0], atol=1e-5)


def test_the_model_card_and_the_table_of_the_documentation(export):
    card = json.loads((export.folder / "assets.extra" / "model_card.json").read_text())
    assert card["tokenizer"]["kind"] == "bytes"
    assert card["model"]["config"]["max_target_length"] == LONGEST_TARGET
    for side, longest in (("encoder", LONGEST_SOURCE), ("decoder", LONGEST_TARGET)):
        assert card["model"][side]["config"]["max_sequence_length"] == longest
        assert card["model"][side]["config"]["attention_layers"] == ["local"]
        assert 0 < card["model"][side]["parameters"] < card["model"]["parameters"]
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "serving.md"
    table = page.read_text(encoding="utf-8").split("### Sequence to sequence")[1].split("\n\n")[1]
    cells = [line.split("|") for line in table.splitlines()[2:]]
    rows = {name: columns[2:4] for columns in cells for name in re.findall(r"`(\w+)`", columns[1])}
    assert sorted([*export.loaded.signatures, "translate_ids"]) == sorted(rows)
    for name, signature in card["signatures"].items():
        for written, specs in zip(rows[name], (signature["inputs"], signature["outputs"]), strict=True):
            assert {*re.findall(r"`([a-z_]+)`", written)} == {*specs}


@pytest.mark.slow
def test_warm_up_requests(export):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(export.folder / "assets.extra" / "tf_serving_warmup_requests"))
    names = []
    for record in records.as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        names.append(request.model_spec.signature_name)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        assert export(names[-1], **inputs)
    assert sorted(names) == ["embed", "predict", "score_pair", "score_pair_ids", "translate"]


@pytest.mark.slow
def test_translate_takes_nothing_but_tensorflow(export, tmp_path):
    """In a process without this package on its path."""
    inputs = {name: values for name, values in _ONE.items() if name != "source"}
    code = f"""
import sys
import tensorflow as tf
translate = tf.saved_model.load({str(export.folder)!r}).signatures["translate"]
specs = {{spec.name: spec.dtype for spec in translate.structured_input_signature[1].values()}}
settings = {{name: tf.constant(value, specs[name]) for name, value in {inputs!r}.items()}}
outputs = translate(source=tf.constant([{_ONE["source"][0]!r}]), **settings)
assert not [name for name in sys.modules if name.startswith(("reformer_tf", "tensorflow_text"))]
print(outputs["translation"].numpy()[0].hex())
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    arguments = [sys.executable, "-c", code]
    said = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert bytes.fromhex(said.stdout) == export("translate", **_ONE)["translation"][0]


@pytest.mark.slow
def test_ids_where_padding_would_count(export_of_ids):
    """Both sides then run on one row after the other, and targets from their start for each token."""
    export = export_of_ids
    assert not export.model.encoder.ignores_padding
    assert not export.model.decoder.strictly_causal
    assert {*export.loaded.signatures} == {"serving_default", "predict", "embed", "score_pair_ids", "translate_ids"}
    source = _padded([[*text] for text in SOURCES])
    ends = [END, END, END, -1]
    found = export("translate_ids", source=source, end=ends, **SETTINGS)["target"]
    assert found.shape == (len(SOURCES), max(SETTINGS["max_new_tokens"]))
    for row in range(len(SOURCES)):
        expected = _generated(export.model, row, ends[row])
        assert found[row].tolist() == [*expected, *[-1] * (found.shape[1] - len(expected))]
    target = _padded([[*text, END] for text in TARGETS])
    scores = export("score_pair_ids", source=source, target=target)
    for row, (first, second) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        ids = {"source": tf.constant([[*first]]), "target": tf.constant([[*second, END]])}
        losses = export.losses(ids)[0].numpy()
        np.testing.assert_allclose(scores["token_log_probabilities"][row, : len(losses)], -losses, atol=1e-5)
        assert not np.any(scores["token_log_probabilities"][row, len(losses) :])
        np.testing.assert_allclose(scores["bits_per_token"][row], losses.mean() / np.log(2), rtol=1e-5)


def test_arguments_that_do_not_fit(export, tmp_path):
    with pytest.raises(ValueError, match=r"has source_vocabulary_size=257. Received: ByteTokenizer with 258 ids"):
        export_saved_model(export.model, tmp_path, ByteTokenizer(first=2, boundary=0))
    with pytest.raises(ValueError, match="max_beams must be a positive integer. Received: max_beams=0"):
        export_saved_model(export.model, tmp_path, max_beams=0)
    with pytest.raises(ValueError, match="max_beams must be None for a model that is no ReformerSeq2Seq. Received: 4"):
        export_saved_model(keras.Sequential(), tmp_path, max_beams=4)
    with pytest.raises(ValueError, match="`labels` must be left out for a model that is no ReformerClassifier"):
        export_saved_model(export.model, tmp_path, labels=["a"])

"""An invalid request gives an error with the reason, and the next request works."""

import re

import numpy as np
import pytest
import tensorflow as tf

TEXT = {"text": [b"abc", b"d"]}
IDS = {"ids": [[1, 2, 3], [4, 5, -1]]}
LONGEST = 4096


def _call(loaded, signature, inputs):
    specs = loaded.signatures[signature].structured_input_signature[1].values()
    dtypes = {spec.name: spec.dtype for spec in specs}
    tensors = {
        name: value if tf.is_tensor(value) else tf.constant(value, dtypes[name]) for name, value in inputs.items()
    }
    return {name: value.numpy() for name, value in loaded.signatures[signature](**tensors).items()}


_INVALID = {
    "score, no rows": ("score", {"text": tf.zeros([0], tf.string)}, r"`text` must have at least one row.*Received: 0 "),
    "score, an empty text": (
        "score",
        {"text": [b"abc", b""]},
        r"`text` must have from 1 to 4096 bytes a row.*Received: 3 0 ",
    ),
    "score, too long": (
        "score",
        {"text": [b"a" * (LONGEST + 1)]},
        r"`text` must have from 1 to 4096 bytes.*Received: 4097 ",
    ),
    "score, another type": ("score", {"text": tf.zeros([1], tf.int32)}, "string"),
    "score, another rank": (
        "score",
        {"text": tf.constant([["a"], ["b"]])},
        r"`text` must have a shape B .*Received: 2 1 ",
    ),
    "predict, no rows": (
        "predict",
        {"ids": tf.zeros([0, 3], tf.int32)},
        r"`ids` must have at least one row.*Received: 0 3 ",
    ),
    "predict, no columns": ("predict", {"ids": tf.zeros([2, 0], tf.int32)}, "`ids` must have at least 1 that is not"),
    "predict, an empty row": ("predict", {"ids": [[1, 2], [-1, -1]]}, "`ids` must have at least 1 that is not -1"),
    "predict, too long": ("predict", {"ids": tf.zeros([1, LONGEST + 1], tf.int32)}, "`ids` must have at most 4096 col"),
    "predict, too large": ("predict", {"ids": [[1, 257]]}, r"`ids` must be from 0 to 256, or -1 for.*Received: 1 257 "),
    "predict, too small": ("predict", {"ids": [[1, -2]]}, r"`ids` must be from 0 to 256, or -1 for.*Received: 1 -2 "),
    "predict, padding before": (
        "predict",
        {"ids": [[-1, 1]]},
        r"`ids` must have -1 at the end of a row only.*Received: -1 1 ",
    ),
    "predict, another type": ("predict", {"ids": tf.zeros([1, 3], tf.int64)}, "int32"),
    "embed, too large": ("embed", {"ids": [[1, 2**31 - 1]]}, "`ids` must be from 0 to 256"),
    "score_ids, one alone": ("score_ids", {"ids": [[1, 2], [1, -1]]}, "`ids` must have at least 2 that are not -1 in"),
    "score_ids, too long": (
        "score_ids",
        {"ids": tf.zeros([1, LONGEST + 2], tf.int32)},
        "`ids` must have at most 4097 columns",
    ),
}


@pytest.mark.parametrize("case", _INVALID)
def test_an_invalid_request_and_then_a_valid_one(loaded, case):
    signature, wrong, message = _INVALID[case]
    right = TEXT if "text" in wrong else IDS
    before = _call(loaded, signature, right)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        _call(loaded, signature, wrong)
    said = re.sub(r"[\[\]\s]+", " ", str(error.value))
    assert re.search(message, said, re.DOTALL), said
    for name, value in _call(loaded, signature, right).items():
        np.testing.assert_array_equal(value, before[name])


_GENERATE = {"text": [b"abc"], "max_new_tokens": [2], "temperature": [0.0], "top_k": [0], "top_p": [1.0], "seed": [0]}


@pytest.mark.parametrize("signature", ["score", "generate", "predict", "serving_default", "embed", "score_ids"])
def test_inputs_of_another_rank(loaded, signature):
    """For instance a scalar, which users with one text may send. The message has the input, the rule and the shape."""
    right = {"score": TEXT, "generate": _GENERATE}.get(signature, IDS)
    specs = {spec.name: spec for spec in loaded.signatures[signature].structured_input_signature[1].values()}
    for name in right:
        value = tf.constant(right[name], specs[name].dtype)
        letters = "BL"[: value.shape.rank]
        scalar = tf.reshape(value, [-1])[0]
        for wrong in (scalar, value[None], tf.reshape(value, [-1]) if letters == "BL" else value[:, None, None]):
            with pytest.raises(tf.errors.InvalidArgumentError) as error:
                _call(loaded, signature, {**right, name: wrong})
            said = re.sub(r"[\[\],\s]+", " ", str(error.value))
            received = " ".join(map(str, wrong.shape))
            assert f"`{name}` must have a shape {' '.join(letters)} . Received: {received}".rstrip() in said
    assert _call(loaded, signature, right)


def test_the_longest_that_are_allowed(loaded):
    assert _call(loaded, "score", {"text": [b"a" * LONGEST]})["token_log_probabilities"].shape == (1, LONGEST)
    found = _call(loaded, "score_ids", {"ids": np.zeros([1, LONGEST + 1])})["token_log_probabilities"]
    assert found.shape == (1, LONGEST)


def test_any_bytes_are_text(loaded):
    found = _call(loaded, "score", {"text": [bytes(range(256)), b"\x00", b"\xff\xfe"]})
    assert np.all(np.isfinite(found["bits_per_byte"]))
    assert np.all(found["bits_per_byte"] > 0)

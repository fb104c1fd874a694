"""The signature `generate` continues texts as `model.generate` continues their ids."""

import numpy as np
import pytest
import tensorflow as tf

PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}


def _generate(module, texts, max_new_tokens, **settings):
    """Settings are numbers for all rows, or lists with one for each."""
    signature = module.signatures["generate"]
    specs = {spec.name: spec for spec in signature.structured_input_signature[1].values()}
    inputs = {"text": texts, "max_new_tokens": max_new_tokens, **PLAIN, **settings}
    rows = {name: value if isinstance(value, list) else [value] * len(texts) for name, value in inputs.items()}
    outputs = signature(**{name: tf.constant(value, specs[name].dtype) for name, value in rows.items()})
    assert list(outputs) == ["generated_text_bytes"]
    return outputs["generated_text_bytes"].numpy().tolist()


def _expected(model, texts, max_new_tokens, **options):
    """Text up to the boundary."""
    prompts = [[256, *text] for text in texts]
    rows = model.generate(prompts, max_new_tokens, stop_tokens=[256], **options)
    return [bytes(token for token in row if token < 256) for row in rows]


@pytest.fixture(scope="module")
def chunks(exports):
    return exports["chunks"].model, exports["chunks"].module


TEXTS = [b"def main():", b"", b"\xff\x00"]
SEEDS = [1, -2, 2**31 - 1]


def test_samplers_and_greedy(loaded):
    draws = [
        ({"temperature": 0.0}, {"sampler": "greedy"}),
        ({"seed": SEEDS}, {"sampler": "random", "seed": SEEDS}),
        ({"seed": SEEDS, "temperature": 0.5}, {"sampler": "random", "temperature": 0.5, "seed": SEEDS}),
        ({"seed": SEEDS, "top_k": 5}, {"sampler": "top_k", "k": 5, "seed": SEEDS}),
        ({"seed": SEEDS, "top_p": 0.8}, {"sampler": "top_p", "p": 0.8, "seed": SEEDS}),
        ({"seed": SEEDS, "top_k": 2**31 - 1}, {"sampler": "random", "seed": SEEDS}),
        ({"seed": SEEDS, "temperature": 1e-9}, {"sampler": "greedy"}),
    ]
    for settings, options in draws:
        assert _generate(loaded.module, TEXTS, 20, **settings) == _expected(loaded.model, TEXTS, 20, **options), (
            settings
        )


def test_each_row_by_itself(loaded):
    """Each row has settings of its own, and the other rows do not matter."""
    settings = {"seed": SEEDS, "temperature": [0.0, 1.0, 2.0], "top_k": [0, 5, 0], "top_p": [1.0, 1.0, 0.7]}
    counts = [3, 30, 11]
    together = _generate(loaded.module, TEXTS, counts, **settings)
    for row, text in enumerate(TEXTS):
        own = {name: values[row] for name, values in settings.items()}
        assert _generate(loaded.module, [text], counts[row], **own) == [together[row]]
    assert len({len(text) for text in together}) == 3


def test_a_boundary_ends_a_text_and_is_no_part_of_it(loaded):
    texts, seeds = [b"abc"] * 8, list(range(8))
    found = _generate(loaded.module, texts, 300, seed=seeds)
    assert found == _expected(loaded.model, texts, 300, sampler="random", seed=seeds)
    assert any(len(text) < 300 for text in found)


def test_up_to_the_longest(chunks, loaded):
    """Rows that have reached their longest length wait for others."""
    longest = loaded.model.backbone.config["max_sequence_length"]
    texts, counts = [b"a" * (longest - 2), b"", b"b"], [2, 40, 1]
    found = _generate(loaded.module, texts, counts, seed=SEEDS)
    for text, count, seed, new in zip(texts, counts, SEEDS, found, strict=True):
        assert _generate(loaded.module, [text], count, seed=seed) == [new]
    model, module = chunks
    longest = model.backbone.config["max_sequence_length"]
    assert _generate(module, [b""], longest, temperature=0.0) == _expected(model, [b""], longest)


def test_a_model_whose_past_changes(chunks):
    model, module = chunks
    assert not model.backbone.strictly_causal
    found = _generate(module, TEXTS, [7, 1, 4], seed=SEEDS)
    expected = _expected(model, TEXTS, 7, sampler="random", seed=SEEDS)
    assert found == [text[:count] for text, count in zip(expected, (7, 1, 4), strict=True)]


def test_in_a_session_again_and_again(loaded):
    """Requests as a server runs them: caches are written in place, and must not leak from one request to the next."""
    counts, settings = [3, 30, 11], {"temperature": [0.0, 1.0, 2.0], "top_k": [0, 5, 0], "top_p": [1.0, 1.0, 0.7]}
    expected = _generate(loaded.module, TEXTS, counts, seed=SEEDS, **settings)
    request = {"text": TEXTS, "max_new_tokens": counts, "seed": SEEDS, **settings}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(loaded.path)).signature_def["generate"]
        feed = {signature.inputs[name].name: value for name, value in request.items()}
        for _ in range(3):
            found = session.run(signature.outputs["generated_text_bytes"].name, feed)
            assert found.tolist() == expected
        # In a graph no Python code checks shapes first.
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`text` must have a shape \[B\]. Received"):
            session.run(signature.outputs["generated_text_bytes"].name, {**feed, signature.inputs["text"].name: "abc"})


_INVALID = {
    "no room": ({"text": [b"abc"], "max_new_tokens": [4094]}, "`max_new_tokens` and the tokens of `text` must be at m"),
    "huge": ({"max_new_tokens": [2**31 - 1]}, "`max_new_tokens` and the tokens of `text` must be at most 4096 toget"),
    "no new tokens": ({"max_new_tokens": [0]}, "`max_new_tokens` must be at least 1"),
    "fewer than none": ({"max_new_tokens": [-5]}, "`max_new_tokens` must be at least 1"),
    "text too long": ({"text": [b"a" * 4096]}, "`text` must have from 0 to 4095 bytes a row"),
    "no rows": ({"text": tf.zeros([0], tf.string)}, "`text` must have at least one row"),
    "negative temperature": ({"temperature": [-0.5]}, "`temperature` must be finite and at least 0"),
    "temperature NaN": ({"temperature": [np.nan]}, "`temperature` must be finite and at least 0"),
    "infinite temperature": ({"temperature": [np.inf]}, "`temperature` must be finite and at least 0"),
    "top_p 0": ({"top_p": [0.0]}, "`top_p` must be above 0 and at most 1"),
    "top_p above 1": ({"top_p": [1.5]}, "`top_p` must be above 0 and at most 1"),
    "top_p NaN": ({"top_p": [np.nan]}, "`top_p` must be above 0 and at most 1"),
    "negative top_k": ({"top_k": [-1]}, "`top_k` must be at least 0, which is all"),
    "two seeds": ({"seed": [1, 2]}, "`seed` must have one entry for each row of `text`"),
    "two temperatures": ({"temperature": [1.0, 1.0]}, "`temperature` must have one entry for each row of `text`"),
    "another type": ({"seed": tf.constant([1.0])}, "int32"),
}


@pytest.mark.parametrize("case", _INVALID)
def test_an_invalid_request_and_then_a_valid_one(loaded, case):
    wrong, message = _INVALID[case]
    valid = {"text": [b"abc"], "max_new_tokens": [2], **{name: [value] for name, value in PLAIN.items()}}
    signature = loaded.signatures["generate"]
    specs = {spec.name: spec for spec in signature.structured_input_signature[1].values()}

    def call(inputs):
        tensors = {name: v if tf.is_tensor(v) else tf.constant(v, specs[name].dtype) for name, v in inputs.items()}
        return signature(**tensors)["generated_text_bytes"].numpy().tolist()

    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call({**valid, **wrong})
    assert len(call(valid)[0]) <= 2

"""The README's language model, and the README's statements about the other models."""

import functools

import keras
import numpy as np
import pytest

from reformer_tf import models
from tests.documentation import blocks

SIZES = (257, 4096, 1, 16, 2, 8, 32, ["local"])
LENGTHS, LONGEST = [9, 5, 12, 1], 12


@functools.cache
def _example():
    """The variables that the second block defines, run with half of its layers, and its output."""
    names, printed = {}, []
    names["print"] = printed.append
    exec(blocks.python("README.md", **{"num_layers=4": "num_layers=2"})[1], names)
    return names, printed


def test_the_block():
    """Shapes are as in the comments; results are only new ids; a stream yields ids one by one."""
    names, printed = _example()
    assert names["logits"].shape == (1, 12, 257)
    assert names["losses"].shape == (1, 11)
    assert [len(row) for row in names["new_ids"]] == [20, 20]
    assert all(0 <= token < 257 for row in [*names["new_ids"], printed] for token in row)
    assert printed == names["model"].generate([[256, *b"def "]], 20)[0]


def test_token_losses_are_those_of_the_logits():
    names, _ = _example()
    loss = keras.losses.sparse_categorical_crossentropy(
        names["ids"][:, 1:], names["model"](names["ids"][:, :-1]), from_logits=True
    )
    np.testing.assert_allclose(names["losses"], loss, rtol=1e-4)


@pytest.mark.slow
def test_generation_gives_the_logits_of_the_whole_sequence():
    """Each generated token is the likeliest one by the model on all tokens before it."""
    names, _ = _example()
    model, row = names["model"], [256, *b"def "]
    (new,) = model.generate([row], 3)
    for token in new:
        assert token == int(np.argmax(model(np.array([row]))[0, -1]))
        row = [*row, token]


@pytest.mark.slow
def test_saved_and_loaded(tmp_path):
    names, _ = _example()
    names["model"].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is models.ReformerCausalLM
    np.testing.assert_allclose(loaded(names["ids"]), names["logits"], atol=1e-5)


def _build(kind):
    more = {"num_classes": 3} if kind == "ReformerClassifier" else {}
    return getattr(models, kind)(*SIZES, **more)


def _targets(kind, ids):
    rows = len(ids)
    return {
        "ReformerCausalLM": None,
        "ReformerMaskedLM": ids,
        "ReformerClassifier": np.arange(rows) % 3,
        "ReformerSpanPredictor": {"start": np.zeros(rows, "int32"), "end": np.zeros(rows, "int32")},
    }[kind]


def _loss(kind):
    """The loss for `compile`; None if the model has its own."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"ReformerClassifier": loss, "ReformerSpanPredictor": {"start": loss, "end": loss}}.get(kind)


@pytest.mark.slow  # Each takes 20 s to trace and compile; tests/models fits all of them in any case.
@pytest.mark.parametrize(
    "kind", ["ReformerCausalLM", "ReformerMaskedLM", "ReformerClassifier", "ReformerSpanPredictor"]
)
def test_compile_fit_and_save_with_padding(kind, tmp_path):
    """With `fit({"ids": ids, "mask": mask}, targets)` the ids of padding do not matter."""
    mask = np.arange(LONGEST) < np.asarray(LENGTHS)[:, None]
    losses = []
    for content in (7, 200):
        keras.utils.set_random_seed(0)
        model = _build(kind)
        ids = np.where(mask, np.random.default_rng(0).integers(0, 256, mask.shape), content).astype("int32")
        model.compile("sgd", _loss(kind), jit_compile=False)
        arguments = [x for x in ({"ids": ids, "mask": mask}, _targets(kind, ids)) if x is not None]
        losses.append(model.fit(*arguments, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][1] < losses[0][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found, expected = (keras.tree.flatten(x({"ids": ids, "mask": mask})) for x in (loaded, model))
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-5)

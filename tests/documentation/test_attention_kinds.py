"""The page on kinds of attention says what their classes declare, and its example is a kind."""

import re

import numpy as np
import pytest

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from tests.documentation import blocks

PAGE = "docs/attention_kinds.md"
_YES = {True: "yes", False: "no"}
_SEGMENTS = {"equal": "equal ids", "runs": "each run of equal ids", None: "no"}


def _row(kind):
    cls = ATTENTION_LAYERS[kind]
    able, cache = cls.capabilities, cls.capabilities.decoding_cache
    return [
        f"`{kind}`",
        f"`{cls.__name__}`",
        _YES[able.causal],
        _YES[able.bidirectional],
        _SEGMENTS[able.segments],
        _YES[able.pair_dropout],
        _YES[able.shared_query_key],
        _YES[able.rotary],
        cache.state if cache else "none",
        f"{_YES[cache.time_grows]} / {_YES[cache.state_grows]}" if cache else "-",
        _YES[able.cross_attention],
    ]


def _rows(columns):
    """The rows of the page's table of so many columns, without its head."""
    lines = re.findall(r"^\| (.*) \|$", blocks.read(PAGE), re.MULTILINE)
    return [row for row in (line.split(" | ") for line in lines) if len(row) == columns and row[0].startswith("`")]


def test_the_table_is_what_the_classes_declare():
    assert _rows(11) == [_row(kind) for kind in ATTENTION_LAYERS]


def test_the_arguments_of_the_model_are_those_that_the_classes_declare():
    named = {kind: re.findall(r"`(\w+)`(?! if None)", arguments) for kind, arguments in _rows(2)}
    assert named == {
        f"`{kind}`": [*cls.capabilities.model_arguments.values()] for kind, cls in ATTENTION_LAYERS.items()
    }


def test_the_example_is_a_kind_of_attention(monkeypatch):
    monkeypatch.setitem(ATTENTION_LAYERS, "mean", None)  # Taken out again after the test.
    names = {}
    _, block = blocks.python(PAGE)
    exec(block, names)
    layer = names["backbone"].get_layer("stack").branches[2].layer
    assert type(layer) is names["MeanAttention"]
    ids = np.random.default_rng(0).integers(0, 257, [2, 40])
    mask = np.arange(40) < np.array([[40], [30]])
    masked = names["backbone"](ids, mask=mask)
    np.testing.assert_allclose(masked[1, :30], names["backbone"](ids[1:, :30])[0], atol=1e-5)
    with pytest.raises(ValueError, match="segment_ids must be left out"):
        names["backbone"](ids, segment_ids=ids)


def test_features_estimate_the_model_whose_weights_they_take():
    names = {}
    exec(blocks.python(PAGE)[0], names)
    ids = np.random.default_rng(0).integers(0, 257, [2, 40])
    exact, estimate = (names[name](ids).numpy() for name in ("exact", "estimate"))
    assert np.abs(estimate - exact).max() < 0.05 * np.abs(exact).max()

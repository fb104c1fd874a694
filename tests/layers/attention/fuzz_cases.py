"""Draws arguments and inputs of every kind of attention, valid ones and ones with a single fault."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

# The fault of a case, and the rule that its error must name.
RULES = {
    "num_heads": r"num_heads must be a positive integer",
    "key_dim": r"key_dim must be a positive integer",
    "odd key_dim": r"key_dim must be even when rotary=True",
    "dropout": r"dropout must be a number in \[0, 1\)",
    "seed": r"seed must be an integer",
    "chunk_length": r"chunk_length must be a positive integer",
    "window": r"window must be one of .*bucket.*chunk",
    "chunk arguments": r"must be left out unless window=\"chunk\"",
    "chunks_before": r"chunks_before must be an integer that is not negative",
    "chunks_after": r"chunks_after must be an integer that is not negative",
    "exact_length": r"exact_length must be an integer that is not negative",
    "length_multiple": r"length_multiple must be a multiple of chunk_length",
    "num_hashes": r"num_hashes must be a positive integer",
    "num_buckets": r"num_buckets must be a positive even integer or a list of such factors",
    "too many buckets": r"num_buckets \* chunk_length \+ length must stay below 2\*\*29",
    "max_sequence_length": r"max_sequence_length must be a positive integer",
    "too long": r"inputs must be at most \d+ tokens long",
    "local_round": r"local_round must not be True with window=\"chunk\"",
    "causal": r"causal must be True or False",
    "use_bias": r"use_bias must be True or False",
    "redraw_rotations": r"redraw_rotations must be True or False",
    "numbers": r"inputs must be floating numbers \[batch, length, width\] with a length of at least 1",
    "rank": r"expected ndim=3",
    "width": r"expected axis -1",
    "mask": r"mask must be a boolean or integer tensor \[batch, length\]",
    "segment_ids": r"segment_ids must be a boolean or integer tensor \[batch, length\]",
    "call seed": r"seed must be an integer tensor of shape \[2\]",
    "other layers' arguments": r"has no call argument",
}
# The largest length for which an explicit bucket count and the following one are both in reach of a quick reference.
LONGEST = 300
SCALES = {"plain": 1.0, "zeros": 0.0, "tiny": 1e-30, "small": 1e-4, "large": 30.0, "huge": 1e15}


class Case(NamedTuple):
    """A layer, a call of it, and their fault.

    Attributes:
        kind: Of attention.
        arguments: Of the constructor.
        width: M.
        shape: [B, L].
        data_seed: From which inputs and weights are drawn.
        scale: Of the inputs, one of `SCALES`.
        mask: "none", "padding", "random" or "all": which tokens are masked.
        garbage: What stands under the mask.
        segments: The number of segments; 0 if there are none.
        mode: "eager", "graph" (of unknown shape) or "groups" (long sequences' way of computing).
        wrong: One of `RULES`, or None.
        wrong_value: The value that is wrong.
    """

    kind: str
    arguments: dict[str, Any]
    width: int
    shape: tuple[int, int]
    data_seed: int
    scale: str
    mask: str
    garbage: float
    segments: int
    mode: str
    wrong: str | None
    wrong_value: Any


def _buckets() -> st.SearchStrategy:
    factors = st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3)
    return st.one_of(st.none(), st.sampled_from([2, 4, 6, 10, 32]), factors, factors.map(tuple))


@st.composite
def _arguments(draw, kind: str) -> dict[str, Any]:
    """Constructor arguments without a fault. A key is missing where its default is drawn."""
    rotary = draw(st.booleans())
    drawn = {
        "num_heads": draw(st.integers(1, 3)),
        "key_dim": draw(st.integers(1, 5)) * 2 if rotary else draw(st.integers(1, 9)),
        "causal": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "use_bias": draw(st.booleans()),
        "rotary": rotary,
        "seed": draw(st.integers(-3, 2**40)),
        "dtype": draw(st.sampled_from(["float32"] * 4 + ["float64", "mixed_bfloat16"])),
    }
    if kind != "lsh":
        drawn["shared_query_key"] = draw(st.booleans())
    if kind != "full":
        chunk = drawn["chunk_length"] = draw(st.sampled_from([1, 2, 3, 5, 8, 16, 31, 64]))
        drawn["window"] = draw(st.sampled_from(["bucket", "chunk"]))
        if drawn["window"] == "chunk":
            chunks = {
                "chunks_before": st.integers(0, 4),
                "chunks_after": st.integers(0, 3),
                "wrap": st.booleans(),
                "length_multiple": st.integers(1, 4).map(lambda n: n * chunk),
                "exact_length": st.sampled_from([0, 1, chunk, 2 * chunk, 40]),
            }
            drawn |= {name: draw(values) for name, values in chunks.items() if draw(st.integers(0, 3))}
    if kind == "lsh":
        drawn["num_hashes"] = draw(st.integers(1, 4))
        drawn["num_buckets"] = draw(_buckets())
        drawn["max_sequence_length"] = draw(st.sampled_from([None, LONGEST, LONGEST, 1000]))
        if drawn["window"] == "bucket":
            drawn["local_round"] = draw(st.sampled_from([None, True, False]))
        drawn["redraw_rotations"] = draw(st.booleans())
    return drawn


# Wrong values by rule; those of a call's inputs are made in `spoiled_call`.
WRONG_VALUES = {
    "num_heads": [0, -1, 1.5, True, "2", None],
    "key_dim": [0, -4, 2.0, False, None],
    "odd key_dim": [1, 3, 7],
    "dropout": [1.0, -0.1, float("nan"), "0.1", True, 2],
    "seed": [1.5, "7", True],
    "chunk_length": [0, -8, 2.5, True, None],
    "window": ["Bucket", "", None, 3],
    "chunk arguments": [{"wrap": False}, {"chunks_before": 1}, {"exact_length": 64, "length_multiple": 64}],
    "chunks_before": [-1, 0.5, True, "1"],
    "chunks_after": [-3, 1.0, False],
    "exact_length": [-1, 2.5, True],
    "length_multiple": [1, 7],
    "num_hashes": [0, -2, 1.5, True, None],
    "num_buckets": [3, 0, -2, 2.0, True, [2, 3], [], [4, 0], (2, 2.0), "8", [[2]]],
    "too many buckets": [2**28, [2**14, 2**14]],
    "max_sequence_length": [0, -1, 1.5, True],
    "too long": [1, 2],
    "local_round": [True],
    "causal": ["no", 1, None],
    "use_bias": ["yes", 0],
    "redraw_rotations": ["yes", None],
    "numbers": ["int32", "bool", "complex64", "empty"],
    "rank": [[], [2, 3, 4]],
    "width": [1, 2],
    "mask": ["longer", "rank", "float", "batch", "word"],
    "segment_ids": ["longer", "rank", "float", "batch"],
    "call seed": [[1], [1, 2, 3, 4], [1.0, 2.0], 5, [[1, 2]]],
    "other layers' arguments": ["attention_mask", "use_causal_mask", "return_attention_scores", "value"],
}
CHUNK_RULES = {"chunks_before", "chunks_after", "exact_length", "length_multiple", "local_round", "too long"}
_WINDOW_RULES = {"chunk_length", "window", "chunk arguments", *CHUNK_RULES}
_HASH_RULES = {
    "num_hashes",
    "num_buckets",
    "too many buckets",
    "max_sequence_length",
    "too long",
    "local_round",
    "redraw_rotations",
}


@st.composite
def draw_cases(draw) -> Case:
    kind = draw(st.sampled_from(["lsh", "lsh", "lsh", "local", "local", "full"]))
    arguments = draw(_arguments(kind))
    wrong = value = None
    if 40 <= draw(st.integers(0, 99)) < 52:  # not at the ends, which hypothesis draws more often
        possible = set(RULES) - (_HASH_RULES if kind != "lsh" else set()) - (_WINDOW_RULES if kind == "full" else set())
        wrong = draw(st.sampled_from(sorted(possible)))
        value = draw(st.sampled_from(WRONG_VALUES[wrong]))
        arguments = spoiled(arguments, wrong, value)
    length = draw(st.one_of(st.integers(1, 12), st.integers(13, 80), st.integers(81, LONGEST)))
    if wrong == "too long":
        length = max(length, 10)
    return Case(
        kind,
        arguments,
        width=draw(st.integers(1, 12)),
        shape=(draw(st.integers(1, 3)), length),
        data_seed=draw(st.integers(0, 2**31)),
        scale=draw(st.sampled_from(["plain"] * 5 + sorted(SCALES))),
        mask=draw(st.sampled_from(["none", "none", "padding", "random", "all"])),
        garbage=draw(st.sampled_from([0.0, np.nan, np.inf, -1e30])),
        segments=draw(st.sampled_from([0, 0, 1, 3])),
        mode=draw(st.sampled_from(["eager"] * 7 + ["graph", "groups"])),
        wrong=wrong,
        wrong_value=value,
    )


def spoiled(arguments: dict[str, Any], wrong: str, value: Any) -> dict[str, Any]:
    """Constructor arguments with one fault; arguments that would be a second fault are left out."""
    if wrong in CHUNK_RULES | {"chunk arguments", "window"}:
        chunks = ("chunks_before", "chunks_after", "wrap", "length_multiple", "exact_length", "local_round")
        arguments = {name: one for name, one in arguments.items() if name not in chunks}
        arguments["window"] = "chunk" if wrong in CHUNK_RULES else "bucket"
    if wrong == "odd key_dim":
        return {**arguments, "key_dim": value, "rotary": True}
    if wrong == "chunk arguments":
        return {**arguments, **value}
    if wrong == "chunk_length":
        # A chunk argument may be compared with it first.
        return {name: one for name, one in arguments.items() if name != "length_multiple"} | {"chunk_length": value}
    if wrong == "length_multiple":
        return {**arguments, "chunk_length": 3, "length_multiple": value}
    if wrong == "too many buckets":
        return {**arguments, "chunk_length": 8, "num_buckets": value} | (
            {"length_multiple": 8} if "length_multiple" in arguments else {}
        )
    if wrong == "too long":
        return {**arguments, "chunk_length": 2, "num_buckets": None, "max_sequence_length": value, "exact_length": 0}
    if wrong in ("numbers", "rank", "width", "mask", "segment_ids", "other layers' arguments"):
        return arguments
    if wrong == "call seed":
        return {**arguments, "dropout": 0.2}
    return {**arguments, wrong: value}


def make_call(case: Case) -> tuple[np.ndarray, dict[str, Any]]:
    """Inputs and call arguments without a fault."""
    rng = np.random.default_rng(case.data_seed)
    x = SCALES[case.scale] * rng.normal(size=(*case.shape, case.width))
    kwargs: dict[str, Any] = {}
    if case.mask != "none":
        mask = rng.random(case.shape) < 0.7
        if case.mask == "padding":
            mask = np.arange(case.shape[1]) < rng.integers(0, case.shape[1] + 1, [case.shape[0], 1])
        if case.mask == "all":
            mask[:] = False
        x[~mask] = case.garbage
        kwargs["mask"] = mask
    if case.segments:
        kwargs["segment_ids"] = np.sort(rng.integers(0, case.segments, case.shape), axis=1).astype("int32")
    if case.arguments.get("dropout") and rng.random() < 0.5:
        kwargs["seed"] = tf.constant([1, 2])  # of no effect in inference
    return x.astype("float64" if case.arguments["dtype"] == "float64" else "float32"), kwargs


def spoiled_call(case: Case, x: np.ndarray, kwargs: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    batch, length = case.shape
    if case.wrong == "numbers" and case.wrong_value == "empty":
        return x[:, :0], {}
    if case.wrong == "numbers":
        return np.ones(x.shape, case.wrong_value), {}
    if case.wrong == "rank":
        return np.zeros([*case.wrong_value, case.width], x.dtype), {}
    if case.wrong == "width":
        return np.zeros([batch, length, case.width + case.wrong_value], x.dtype), kwargs
    if case.wrong in ("mask", "segment_ids"):
        values = {
            "longer": np.ones([batch, length + 1], "int32"),
            "rank": np.ones([batch, length, 1], "int32"),
            "float": np.ones([batch, length], "float32"),
            "batch": np.ones([batch + 1, length], "int32"),
            "word": "padding",
        }
        return x, {**kwargs, case.wrong: values[case.wrong_value]}
    if case.wrong == "call seed":
        return x, {**kwargs, "seed": case.wrong_value, "training": True}
    if case.wrong == "other layers' arguments":
        return x, {**kwargs, case.wrong_value: True}
    return x, kwargs

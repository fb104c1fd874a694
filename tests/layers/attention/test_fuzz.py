"""Random arguments and inputs of every kind of attention.

A case is either right, and then gives finite output that agrees with the references, or has one thing wrong with it,
and then gives a ValueError that names the rule. Which of the two a case is, is drawn beforehand: neither a refusal of
what is right nor an output of what is wrong passes.
"""

import collections
from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.ops.execution import budgets
from tests.conformance import cases, comparing
from tests.layers.attention import fuzz_cases
from tests.testing import attention_reference, near_ties


def _check_wrong(case: fuzz_cases.Case) -> None:
    def make_and_call():
        layer = ATTENTION_LAYERS[case.kind](**case.arguments)
        layer.build([None, None, case.width])
        x, kwargs = fuzz_cases.spoiled_call(case, *fuzz_cases.make_call(case))
        layer(x, **kwargs)

    with pytest.raises(ValueError, match=fuzz_cases.RULES[case.wrong]) as error:
        make_and_call()
    assert case.wrong in ("rank", "width") or "Received: " in str(error.value)


def _check_right(case: fuzz_cases.Case) -> None:
    layer = ATTENTION_LAYERS[case.kind](**case.arguments)
    layer.build([None, None, case.width])
    cases.perturb(layer, case.data_seed)
    x, kwargs = fuzz_cases.make_call(case)
    y, buckets = _called(case, layer, x, kwargs)
    assert y.shape == x.shape
    assert y.dtype == keras.DTypePolicy(case.arguments["dtype"]).compute_dtype
    y = y.astype(np.float64)
    assert np.isfinite(y).all()
    mask, segments = kwargs.get("mask"), kwargs.get("segment_ids")
    x = x.astype(np.float64) if mask is None else np.where(mask[..., None], x, 0.0).astype(np.float64)
    if buckets is not None:
        _check_buckets(layer, x, buckets, mask)
    conformance = cases.Case(case.kind, "default", layer.causal)
    expected = cases.expected(conformance, layer, x, buckets, mask, segments)
    error = np.abs(y - expected).max()
    assert error <= _tolerance(layer, x) * np.abs(_largest(layer, x)), error


def _called(
    case: fuzz_cases.Case, layer: Any, x: np.ndarray, kwargs: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Output and buckets, in the case's mode."""
    if case.mode != "graph":
        small = {"ungrouped_bytes": 0, "group_bytes": 2**12}
        with budgets.override(**(small if case.mode == "groups" else {})):
            return cases.call_and_buckets(layer, x, **kwargs)
    tensors = {name: tf.convert_to_tensor(value) for name, value in {"x": x, **kwargs}.items()}

    def call(tensors):
        tensors = dict(tensors)
        with cases.replay.recording() as recorded:
            return layer(tensors.pop("x"), **tensors), recorded

    unknown = {
        name: tf.TensorSpec([None] * min(one.shape.rank, 2) + one.shape[2:], one.dtype) for name, one in tensors.items()
    }
    if "seed" in unknown:
        unknown["seed"] = tf.TensorSpec([2], tf.int32)
    y, recorded = tf.function(call, input_signature=[unknown])(tensors)
    return y.numpy(), recorded[0].numpy() if recorded else None


def _projected(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Queries and keys `[B, H, L, D]`, before they are scaled."""
    weights = [np.asarray(weight) for weight in layer.trainable_variables]
    projections = attention_reference.Projections.from_weights(weights, layer.shared_query_key, layer.use_bias)
    maybe_rotate = attention_reference.rotate if layer.rotary else np.asarray
    q = maybe_rotate(attention_reference.project(x, projections.query, projections.query_bias))
    if projections.key is None:
        return q, attention_reference.shared_keys(q) * np.sqrt(layer.key_dim)
    return q, maybe_rotate(attention_reference.project(x, projections.key, projections.key_bias))


def _epsilon(layer: Any) -> float:
    """The rounding of one operation."""
    return {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7}[layer.compute_dtype]


def _tolerance(layer: Any, x: np.ndarray) -> float:
    """The tolerance of outputs, relative to the largest: the rounding of logits, whose exponentials weigh the values.

    Beyond one it still says that outputs are means of values.
    """
    q, k = _projected(layer, x)
    logits = np.linalg.norm(q, axis=-1).max() * np.linalg.norm(k, axis=-1).max() / np.sqrt(layer.key_dim)
    terms = layer.key_dim + x.shape[-1]
    # The reference knows how a penalty rounds in float32; in float64 it is treated as exact.
    penalty = 1e5 if layer.compute_dtype == "float64" and getattr(layer, "wrap", False) else 0.0
    return min(_epsilon(layer) * (terms * (4.0 + logits / 4.0) + penalty), 2.0)


def _largest(layer: Any, x: np.ndarray) -> float:
    """The largest possible output: the norms of the largest value and of the output projection."""
    weights = [np.abs(np.asarray(weight, np.float64)) for weight in layer.trainable_variables]
    projections = attention_reference.Projections.from_weights(weights, layer.shared_query_key, layer.use_bias)
    v = attention_reference.project(np.abs(x).max((0, 1), keepdims=True), projections.value, projections.value_bias)
    return (np.einsum("bhld,hdm->blm", v, projections.output) + projections.output_bias).max() + 1e-37


def _check_buckets(layer: Any, x: np.ndarray, buckets: np.ndarray, mask: np.ndarray | None) -> None:
    """The buckets are those of a hash in numpy, except near ties."""
    q, _ = _projected(layer, x)
    (rotations,) = [np.asarray(weight, np.float64) for weight in layer.weights if weight.name == "rotations"]
    factors = comparing.factors(layer, x.shape[1])
    assert buckets.shape == (len(x), layer.num_heads, layer.num_hashes, x.shape[1])
    assert buckets.min() >= 0 and buckets.max() < np.prod(factors)
    # Rounding grows with the vectors that are projected; below the smallest normal numbers they may become zero.
    weights = [np.abs(np.asarray(weight, np.float64)) for weight in layer.trainable_variables]
    size = attention_reference.project(np.abs(x), weights[0], weights[1] if layer.use_bias else 0.0)
    size = size.sum(-1)[:, :, None, :] * np.abs(rotations).max() * 4
    gaps = near_ties.gaps(q, rotations, factors) / (size + 1e-30)
    error = max(_epsilon(layer), 2.0**-23) * (x.shape[-1] + layer.key_dim)  # rotations are float32 at least
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    near_ties.count_flips(buckets, attention_reference.hash_buckets(q, rotations, factors), gaps, error, mask)


def _fuzz(examples: int) -> collections.Counter:
    """Runs some number of cases; returns the count of each outcome."""
    outcomes: collections.Counter = collections.Counter()

    @hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(fuzz_cases.draw_cases())
    def check(case):
        if case.wrong is None:
            _check_right(case)
            outcomes["output"] += 1
        else:
            _check_wrong(case)
            outcomes[case.wrong] += 1

    check()
    return outcomes


@pytest.mark.parametrize("examples", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_every_case_agrees_with_the_reference_or_names_the_rule(examples, capsys):
    outcomes = _fuzz(examples)
    total = sum(outcomes.values())
    part = outcomes["output"] / total
    with capsys.disabled():
        print(f"\n{total} cases: {100 * part:.1f} % give output, {total - outcomes['output']} name a rule: {outcomes}")
    assert total >= 0.9 * examples
    assert part >= 0.8


def test_every_rule_has_wrong_values():
    assert set(fuzz_cases.RULES) == set(fuzz_cases.WRONG_VALUES)


@pytest.mark.parametrize("rule", fuzz_cases.RULES)
def test_every_rule_is_named_by_some_case(rule):
    """Every rule above belongs to some layer."""
    kind = "lsh"
    shared = {"num_heads": 2, "key_dim": 4, "chunk_length": 4, "dtype": "float32"}
    for value in fuzz_cases.WRONG_VALUES[rule]:
        window = "chunk" if rule in fuzz_cases.CHUNK_RULES else "bucket"
        arguments = fuzz_cases.spoiled({**shared, "num_hashes": 2, "window": window}, rule, value)
        _check_wrong(fuzz_cases.Case(kind, arguments, 6, (2, 20), 0, "plain", "none", 0.0, 0, "eager", rule, value))

"""How near attention by random features comes to exact attention: published variances, and measured errors."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import feature_rows
from reformer_tf.ops.attention import feature_attention
from tests.testing import feature_reference

LENGTH, DRAWS = 512, 20
NUMBERS = (16, 64, 256, 1024)
# Relative errors of the output with orthogonal rows by head size, standard deviation of the entries of q and k, and
# number of features; medians of six draws of a program that computes the formulas directly.
MEASURED = {
    ("softmax", 16, 0.25): (0.122, 0.059, 0.032, 0.017),
    ("softmax", 16, 0.5): (0.57, 0.33, 0.25, 0.10),
    ("softmax", 64, 0.25): (0.23, 0.11, 0.05, 0.03),
    ("softmax", 64, 0.5): (1.1, 0.65, 0.41, 0.25),
    ("softmax_regularized", 16, 0.25): (0.101, 0.057, 0.027, 0.015),
    ("softmax_regularized", 16, 0.5): (0.38, 0.21, 0.13, 0.07),
    ("softmax_regularized", 16, 1.0): (1.1, 0.81, 0.65, 0.55),
    ("softmax_regularized", 64, 0.25): (0.23, 0.10, 0.05, 0.03),
    ("softmax_regularized", 64, 0.5): (0.97, 0.54, 0.30, 0.16),
}


def _error(features, size, scale, number):
    """The median of the relative error of outputs over draws of everything."""
    errors = []
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, size])
        q, k, v = (x.astype("float32") for x in rng.normal(size=[3, 1, LENGTH, 1, size]))
        q, k = scale * q, scale * k
        logits = (q[0, :, 0] @ k[0, :, 0].T) / size**0.5
        weights = np.exp(logits)
        exact = weights @ v[0, :, 0] / weights.sum(1, keepdims=True)
        rows = feature_rows.stored_rows(draw, number, size, features == "softmax_regularized")
        vectors = [tf.constant(x) for x in (q * np.float32(size**-0.5), k, v)]
        y = feature_attention.attend(*vectors, tf.constant(rows), features, None, None, False).numpy()[0, :, 0]
        errors.append(np.linalg.norm(y - exact) / np.linalg.norm(exact))
    return float(np.median(errors))


@pytest.mark.parametrize(
    ("case", "numbers"),
    [
        *(pytest.param(case, (16, 256), id="-".join(map(str, case))) for case in MEASURED if case[2] < 0.5),
        *(
            pytest.param(case, NUMBERS, id="-".join(map(str, (*case, "all"))), marks=pytest.mark.slow)
            for case in MEASURED
        ),
    ],
)
def test_errors_of_outputs_are_those_of_the_method(case, numbers):
    errors = {number: _error(*case, number) for number in numbers}
    for number, error in errors.items():
        measured = MEASURED[case][NUMBERS.index(number)]
        assert error <= (1.3 if measured < 0.3 else 2) * measured, (number, error, measured)
    small = [(np.log(number), np.log(error)) for number, error in errors.items() if error < 0.3]
    if len(small) > 1:  # Errors fall with the square root of the number of features.
        rate = np.polyfit(*np.transpose(small), 1)[0]
        assert -0.65 <= rate <= -0.35


def _estimates(features, x, y, number, draws):
    """Estimates of exp(x · y) from independent rows, one for each draw."""
    rng = np.random.default_rng(7)
    size, count = len(x), number // 2 if features == "hyperbolic" else number
    root = size**0.25
    return np.array(
        [
            np.exp(
                feature_reference.log_weights(features, x[None] * root, y[None] * root, rng.normal(size=[count, size]))
            )
            for _ in range(draws)
        ]
    )[:, 0, 0]


@pytest.mark.parametrize("features", ["softmax", "hyperbolic"])
def test_variances_of_a_pair_are_those_of_lemma_2(features):
    size, number, draws = 16, 64, 4000
    rng = np.random.default_rng(8)
    x, y = (z / np.linalg.norm(z) for z in rng.normal(size=[2, size]))
    estimates = _estimates(features, x, y, number, draws)
    product, z2 = np.exp(x @ y), np.sum((x + y) ** 2)
    # Lemma 2, with r rows; both signs of a row halve the variance of an average, and more.
    variance = np.exp(z2) * product**2 * (1 - np.exp(-z2)) / number
    if features == "hyperbolic":
        variance *= 1 - np.exp(-z2)
    assert abs(np.mean(estimates) - product) < 4 * np.sqrt(variance / draws)
    np.testing.assert_allclose(np.var(estimates), variance, rtol=0.2)

"""The predictors that read a part of a ListOps tree."""

import itertools

import numpy as np
import pytest

from tests.testing import listops_reference
from trainer.data.generated import listops_oracles, listops_text
from trainer.data.generated.listops import ListOps, listops
from trainer.data.generated.listops_results import result_probabilities

SMALL = {"min_length": 20, "max_length": 100, "max_depth": 5, "max_arguments": 5}


def _examples(texts):
    rows = [listops_text.to_ids(text) for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows))), np.uint8)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    labels = np.array([listops_reference.value(text) for text in texts], np.int32)
    return ListOps(ids, np.array([len(row) for row in rows], np.int32), labels)


@pytest.mark.parametrize("arguments", [1, 2, 3, 4])
@pytest.mark.parametrize("token", listops_reference.OPERATORS)
def test_probabilities_of_results_by_enumeration(token, arguments):
    stream = np.random.RandomState(arguments)
    values = [stream.choice(10, size=size, replace=False) for size in (4, 1, 5, 3)[:arguments]]
    probabilities = np.zeros((arguments, 10))
    for row, support in zip(probabilities, values, strict=True):
        row[support] = stream.dirichlet(np.ones(len(support)))
    expected = np.zeros(10)
    for drawn in itertools.product(*values):
        result = listops_reference.OPERATORS[token]([int(value) for value in drawn])
        expected[result] += np.prod(probabilities[np.arange(arguments), list(drawn)])
    found = result_probabilities(listops_text.TOKENS.index(token), probabilities)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_probabilities_want_an_operator():
    with pytest.raises(ValueError, match=r"`operator` must be one of \[10, 11, 12, 13\]. Received: operator=14"):
        result_probabilities(14, np.eye(10)[:2])


def test_each_predictor_reads_what_it_may():
    # Sums of digits are 3 where they are counted, minima 0.
    train = _examples(["[SM 1 2 ]"] * 20 + ["[MIN 0 5 ]"] * 30)
    texts = ["[SM 4 4 ]", "[SM 2 [SM 9 9 ] ]", "[SM 2 [SM 1 1 1 ] ]", "[MIN 0 9 ]", "[SM 1 [SM [SM 1 2 ] 0 ] ]"]
    # labels: 8, 0, 5, 0, 4; predicted by level 1: 8, 5, 5, 0, 4; by level 2: all
    found = listops_oracles.accuracies(train, _examples(texts))
    assert found == {"majority": 0.4, "root": 0.2, "level 1": 0.8, "level 2": 1.0, "level 3": 1.0}


def test_more_levels_know_more():
    train, examples = listops(3000, **SMALL), listops(1000, **SMALL, part="validation")
    found = [*listops_oracles.accuracies(train, examples, levels=4).values()]
    assert found == sorted(found) and found[-1] == 1.0
    # Measured with 40,000 and 10,000 examples; the standard error of 1,000 is at most 1.6 points.
    np.testing.assert_allclose(found[:5], [0.121, 0.248, 0.502, 0.714, 0.853], atol=0.05)


def test_no_examples():
    some, none = listops(1, **SMALL), listops(0, **SMALL)
    with pytest.raises(ValueError, match="`examples` must have at least one example. Received: 0 examples"):
        listops_oracles.accuracies(some, none)
    with pytest.raises(ValueError, match="`train` must have at least one example"):
        listops_oracles.accuracies(none, some)

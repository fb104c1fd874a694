"""ListOps: texts, labels, sizes, uniqueness and distribution."""

import random

import numpy as np
import pytest

from tests.testing import listops_reference
from trainer.data.generated import listops_text
from trainer.data.generated.listops import listops

SMALL = {"min_length": 20, "max_length": 100, "max_depth": 5, "max_arguments": 5}


def _texts(examples):
    rows = zip(examples.ids, examples.lengths, strict=True)
    return [listops_text.to_text(ids[:length]) for ids, length in rows]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MED 1 4 ]", 2),
        ("[MED 9 1 4 ]", 4),
        ("[SM 9 [MAX 3 8 ] 5 ]", 2),
        ("[MIN [MED 8 9 9 ] [SM 5 5 ] 3 ]", 0),
    ],
)
def test_the_reference_evaluates_trees(text, value):
    assert listops_reference.value(text) == value


@pytest.mark.parametrize("sizes", [SMALL, {"min_length": 300, "max_length": 500}, {"max_length": 6, "min_length": 3}])
def test_labels_lengths_and_shapes(sizes):
    examples = listops(count=60, **sizes, seed=4)
    assert examples.ids.shape == (60, sizes["max_length"]) and examples.ids.dtype == np.uint8
    for text, length, label in zip(_texts(examples), examples.lengths, examples.labels, strict=True):
        assert listops_reference.value(text) == label
        assert sizes["min_length"] < length < sizes["max_length"] and length == len(text.split())
        depth, arguments = listops_reference.shape(text)
        assert depth <= sizes.get("max_depth", 10)
        assert arguments <= {*range(2, sizes.get("max_arguments", 10) + 1)}
    assert not examples.ids[np.arange(sizes["max_length"]) >= examples.lengths[:, None]].any()


def test_the_greatest_depth_and_number_of_arguments_occur():
    shapes = [listops_reference.shape(text) for text in _texts(listops(count=200, **SMALL))]
    assert max(depth for depth, _ in shapes) == 5
    assert set.union(*(arguments for _, arguments in shapes)) == {2, 3, 4, 5}


def test_the_distribution_is_that_of_recursion():
    stream = random.Random(0)
    expected = []
    while len(expected) < 1000:
        text = listops_reference.draw(stream, max_depth=5, max_arguments=5)
        if 20 < len(text.split()) < 100:
            expected.append(text)
    found = _texts(listops(count=4000, **SMALL))
    # Differences of means in standard errors: of lengths, labels, roots, and numbers of operators.
    for measure in (
        lambda text: len(text.split()),
        listops_reference.value,
        lambda text: text.startswith("[MED"),
        lambda text: text.count("["),
        lambda text: text.count("[SM") / text.count("["),
        lambda text: text.count("9"),
    ):
        ours, theirs = ([float(measure(text)) for text in texts] for texts in (found, expected))
        error = np.sqrt(np.var(ours) / len(ours) + np.var(theirs) / len(theirs))
        assert abs(np.mean(ours) - np.mean(theirs)) < 4 * error


def test_all_different_across_parts_and_seeds_too():
    texts = {part: _texts(listops(count=300, **SMALL, part=part)) for part in ("train", "validation", "test")}
    other_seed = _texts(listops(count=300, **SMALL, seed=1, part="validation"))
    assert len({text for part in texts.values() for text in part} | {*other_seed}) == 1200
    # Where few trees exist, a part takes all of its own, and no other part has one of them.
    tiny = {"min_length": 3, "max_length": 5, "max_depth": 2, "max_arguments": 2}  # 400: an operator and two digits
    counts = {}
    for part in texts:
        with pytest.raises(ValueError, match="`count` must be at most the number of different trees") as error:
            listops(count=401, **tiny, part=part)
        counts[part] = int(str(error.value).rpartition("found ")[2])
    assert sum(counts.values()) == 400
    trees = [text for part, count in counts.items() for text in _texts(listops(count, **tiny, part=part))]
    assert len({*trees}) == 400
    assert {*_texts(listops(counts["test"], **tiny, seed=5, part="test"))} == {*trees[-counts["test"] :]}


def test_the_count_does_not_change_earlier_examples():
    many, few = (listops(count=count, **SMALL, seed=2, part="test") for count in (150, 40))
    for ours, theirs in zip(many, few, strict=True):
        np.testing.assert_array_equal(ours[:40], theirs)


def test_the_examples_never_change():
    examples = listops(count=500, **SMALL, seed=11)
    assert int(examples.ids.astype(np.int64).sum()) == 134906
    assert examples.labels[:10].tolist() == [7, 9, 6, 7, 9, 1, 6, 3, 5, 0]


def test_single_digits_are_trees():
    examples = listops(count=7, min_length=0, max_length=2, max_depth=1, max_arguments=2)
    np.testing.assert_array_equal(examples.ids[:, 0], examples.labels)
    assert listops(count=0).ids.shape == (0, 2000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1.5}, "`count` must be an integer of at least 0. Received: count=1.5"),
        ({"min_length": -1}, "`min_length` must be an integer of at least 0"),
        (
            {"min_length": 20, "max_length": 21},
            "`max_length` must be an integer of at least 22. Received: max_length=21",
        ),
        ({"max_depth": 0}, "`max_depth` must be an integer of at least 1"),
        ({"max_arguments": 1}, "`max_arguments` must be an integer of at least 2"),
        ({"part": "dev"}, "`part` must be one of"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        listops(**{"count": 1, **arguments})


def test_text_and_back():
    text = "[MAX 2 9 [MIN 4 7 ] [MED 0 1 ] [SM 3 5 6 8 ] ]"
    ids = listops_text.to_ids(text)
    assert listops_text.to_text(np.array(ids, np.uint8)) == text and {*ids} == {*range(15)}
    with pytest.raises(ValueError, match=r"`text` must consist of the tokens 0 1 .* Received: 'MAX'"):
        listops_text.to_ids("[SM 1 MAX ]")
    with pytest.raises(ValueError, match="`ids` must be from 0 to 14. Received: 15"):
        listops_text.to_text([1, 15])

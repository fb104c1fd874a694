"""The rules that choose the validation documents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.corpora import validation
from trainer.data.corpora.corpus import choose_validation, sorted_by_hash

FRACTIONS = st.floats(0.005, 0.95)


def _names(count):
    return [f"file{i}.txt" for i in range(count)]


def _ends(sizes, fraction):
    return validation.choose_ends(sizes, sorted_by_hash(_names(len(sizes))), fraction)


def _split(documents, fraction=0.02, rule=validation.DOCUMENTS_AND_ENDS):
    data = {"validation_rule": rule, "validation_fraction": fraction}
    return validation.split("corpus", _names(len(documents)), documents, data)


@given(st.lists(st.one_of(st.integers(1, 50), st.integers(1, 100_000)), min_size=1, max_size=60), FRACTIONS)
@settings(deadline=None)
def test_the_fraction_is_reached(sizes, fraction):
    ends = _ends(sizes, fraction)
    taken, total = sum(ends.values()), sum(sizes)
    assert all(0 < end <= sizes[index] for index, end in ends.items())
    assert taken < total
    # The last whole document may double the amount, but some bytes are left; ends are whole bytes.
    assert fraction * total - len(sizes) <= taken <= fraction * (2 - fraction) * total + len(sizes)


@pytest.mark.parametrize("fraction", [0.01, 0.02, 0.1, 0.5])
def test_few_large_and_many_small_documents(fraction):
    sizes = [10_000_000, 20_000_000, 15_000_000, *[1000 + i for i in range(1000)]]
    ends = _ends(sizes, fraction)
    for group in (range(3), range(3, len(sizes))):
        taken, total = sum(ends.get(i, 0) for i in group), sum(sizes[i] for i in group)
        assert taken == pytest.approx(fraction * total, rel=0.15)
    assert [ends[i] for i in range(3)] == [fraction * sizes[i] for i in range(3)]
    assert all(ends[i] == sizes[i] for i in ends if i >= 3)
    # The older rule took nothing of the large ones and most of the small ones.
    if fraction < 0.1:
        before = choose_validation(_names(len(sizes)), sizes, fraction)
        assert before.isdisjoint(range(3))
        assert sum(sizes[i] for i in before) > 10 * fraction * sum(sizes[3:])


def test_documents_that_are_added_change_little():
    sizes = [10_000_000, 20_000_000, *[1000] * 1000]
    more = [*sizes, *[1000] * 100, 9_000_000]
    before, after = _ends(sizes, 0.02), _ends(more, 0.02)
    assert [before[0], before[1]] == [after[0], after[1]]
    assert len({*before} - {*after}) <= 4


def test_the_sequence_of_the_documents_does_not_matter():
    names, sizes = _names(40), [100 * (i % 7) + 5000 * (i % 11 == 0) + 1 for i in range(40)]
    ends = validation.choose_ends(sizes, sorted_by_hash(names), 0.1)
    chosen = {names[i]: end for i, end in ends.items()}
    turned = validation.choose_ends(sizes[::-1], sorted_by_hash(names[::-1]), 0.1)
    assert {names[::-1][i]: end for i, end in turned.items()} == chosen


def test_one_document_is_cut_at_a_line():
    content = b"".join(b"line %d\n" % i for i in range(10_000))
    corpus = _split([content])
    assert corpus.train[0] + corpus.validation[0] == content
    assert corpus.train[0].endswith(b"\n")
    assert corpus.validation.num_bytes == pytest.approx(0.02 * len(content), rel=0.01)
    assert corpus.notes == ("To validate on: the ends of 1: 'file0.txt'.",)


def test_two_documents():
    large = [b"first line\n" * 40_000, b"second line\n" * 60_000]
    corpus = _split(large)
    assert len(corpus.train) == len(corpus.validation) == 2
    assert [head + tail for head, tail in zip(corpus.train, corpus.validation, strict=True)] == large
    assert corpus.validation.num_bytes == pytest.approx(0.02 * sum(map(len, large)), rel=0.01)
    # Short documents give one long end instead of two short ones.
    short = _split([b"first line\n" * 400, b"second line\n" * 600])
    assert (len(short.train), len(short.validation)) == (2, 1)
    assert 200 < short.validation.num_bytes < 400


def test_a_far_line_does_not_make_the_end_long():
    document = b"one line\n" + b"x" * 100_000
    corpus = _split([document])
    assert corpus.validation.num_bytes == 2000
    characters = _split(["é€😀".encode() * 5000], 0.02122)
    assert all(part[0].decode() for part in (characters.train, characters.validation))


def test_so_little_that_nothing_is_left():
    assert len(_split([b"tiny", b"text"]).validation) == 0
    assert _split([b"tiny", b"text"]).notes == ("To validate on: nothing.",)
    assert len(_split([b"x"], 0.9).train) == 1


def test_the_rule_of_before():
    sizes = [10_000, 20_000, *range(100, 160)]
    documents = [b"x" * size for size in sizes]
    corpus = _split(documents, 0.02, validation.WHOLE_DOCUMENTS)
    chosen = choose_validation(_names(len(sizes)), sizes, 0.02)
    assert list(corpus.validation) == [documents[i] for i in sorted(chosen)]
    assert list(corpus.train) == [document for i, document in enumerate(documents) if i not in chosen]
    (head, tail) = validation.cut_tail(b"a line\n" * 100, 0.02)
    one_document = _split([b"a line\n" * 100], 0.02, validation.WHOLE_DOCUMENTS)
    assert (list(one_document.train), list(one_document.validation)) == ([head], [tail])


@given(
    st.one_of(st.binary(min_size=1, max_size=60), st.text(min_size=1, max_size=60).map(str.encode)),
    st.floats(0.01, 0.99),
    st.sampled_from(validation.RULES),
)
@settings(deadline=None)
def test_a_document_is_cut_without_loss(document, fraction, rule):
    corpus = _split([document], fraction, rule)
    assert b"".join([*corpus.train, *corpus.validation]) == document
    assert len(document) == 1 or len(corpus.train) == 1


def test_tail_does_not_cut_a_character():
    document = "é€😀".encode() * 50
    for percent in range(1, 100):
        for part in validation.cut_tail(document, percent / 100):
            part.decode()

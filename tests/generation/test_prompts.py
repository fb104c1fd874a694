"""Prompts, stop tokens and seeds that `generate` and `stream` take, and errors for all others."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.generation import prompts
from reformer_tf.generation.samplers import GreedySampler, TopKSampler
from reformer_tf.models import ReformerCausalLM

ROWS = [[1, 2], [3, 4]]


@pytest.fixture(scope="module")
def model():
    return ReformerCausalLM(20, 32, 1, 16, 2, 8, 16, ["local"], chunk_length=4)


def test_rows_of_every_kind(model):
    expected = model.generate(ROWS, 3)
    for rows in (
        np.array(ROWS),
        np.array(ROWS, "uint8"),
        tf.constant(ROWS),
        tf.constant(ROWS, tf.int64),
        tf.ragged.constant(ROWS),
        tuple(map(tuple, ROWS)),
        [np.array(row) for row in ROWS],
        [tf.constant(row) for row in ROWS],
        [[tf.constant(1), np.int32(2)], range(3, 5)],
        (row for row in ROWS),
    ):
        assert model.generate(rows, 3) == expected
    ragged = tf.ragged.constant([[1, 2, 3], [4]])
    assert model.generate(ragged, 3) == model.generate([[1, 2, 3], [4]], 3)
    for row in ([1, 2], np.array([1, 2]), tf.constant([1, 2]), range(1, 3)):
        assert list(model.stream(row, 3)) == expected[0]


_FLAT = r"prompts must be a list of rows.*did you mean \[prompt\]\? Received: prompts=\["
_ROWS = "prompts must be rows of integer ids. Received: prompts="
_IDS = "prompts must hold integer ids. Received: "


@pytest.mark.parametrize(
    "wrong, message",
    [
        ([1, 2, 3], rf"{_FLAT}1, 2, 3\]"),
        (np.array([1, 2]), rf"{_FLAT}1, 2\]"),
        (tf.constant([1, 2]), rf"{_FLAT}1, 2\]"),
        (3, f"{_ROWS}3"),
        (tf.constant(3), f"{_ROWS}3"),
        ("abc", f"{_ROWS}'abc'"),
        (b"abc", f"{_ROWS}b'abc'"),
        (None, f"{_ROWS}None"),
        ({"ids": ROWS}, f"{_ROWS}.'ids'"),
        ([[[1, 2]]], rf"{_IDS}\[1, 2\]"),
        (np.zeros([1, 2, 3], "int32"), rf"{_IDS}\[0, 0, 0\]"),
        ([[1.0, 2.0]], f"{_IDS}1.0"),
        (np.array([[1.0, 2.0]]), f"{_IDS}1.0"),
        (tf.constant([[1.0, 2.0]]), f"{_IDS}1.0"),
        ([[True]], f"{_IDS}True"),
        (np.array([[True]]), f"{_IDS}True"),
        ([["a"]], f"{_IDS}'a'"),
        ([[None]], f"{_IDS}None"),
        (["abc"], "prompts must hold integer ids in lists. Received: 'abc'"),
        ([None], "prompts must hold integer ids in lists. Received: None"),
        ([{1, 2}], "prompts must hold integer ids in lists. Received: .1, 2"),
        ([], "prompts must be rows of at least one id. Received: an empty list"),
        (np.zeros([0, 3], "int32"), "prompts must be rows of at least one id"),
        ([[]], "prompts must hold at least one id a row. Received: an empty list"),
        (np.zeros([2, 0], "int32"), "prompts must hold at least one id a row"),
        (tf.sparse.from_dense([[1, 2]]), "prompts must be a dense tensor"),
        ([[-1]], "prompts must be ids from 0 to vocabulary_size - 1 = 19. Received: -1"),
        ([[20]], "Received: 20"),
        ([[2**40]], "Received: 1099511627776"),
    ],
)
def test_prompts_that_are_refused(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.generate(wrong, 2)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            ROWS,
            r"prompt must be one row of ids to be streamed; generate takes.*Received: prompt=\[\[1, 2\], \[3, 4\]\]",
        ),
        (np.array(ROWS), "prompt must be one row"),
        (tf.ragged.constant(ROWS), "prompt must be one row"),
        ("abc", "prompt must hold integer ids in lists. Received: 'abc'"),
        (3, "prompt must hold integer ids in lists. Received: 3"),
        ([], "prompt must hold at least one id"),
        ([1.5], "prompt must hold integer ids. Received: 1.5"),
    ],
)
def test_a_prompt_that_is_refused_when_stream_is_called(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.stream(wrong, 2)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "2", None, True, [2, 2]])
def test_counts(model, wrong):
    for call, prompt in ((model.generate, ROWS), (model.stream, ROWS[0])):
        with pytest.raises(ValueError, match="max_new_tokens must be a positive integer. Received: max_new_tokens="):
            call(prompt, wrong)


def test_stop_tokens():
    for tokens in ([3, 1], (1, 3), {1, 3}, np.array([1, 3]), tf.constant([1, 3]), range(1, 4, 2)):
        assert sorted(prompts.stop_ids(tokens, 20)) == [1, 3]
    assert prompts.stop_ids((), 20).shape == (0,)
    for wrong, message in (
        (3, r"stop_tokens must be a list of ids, such as \[0\]. Received: stop_tokens=3"),
        (None, "stop_tokens must be a list of ids.*Received: stop_tokens=None"),
        ("a", "stop_tokens must be a list of ids.*Received: stop_tokens='a'"),
        ([1.5], "stop_tokens must hold integer ids. Received: 1.5"),
        ([[3]], r"stop_tokens must hold integer ids. Received: \[3\]"),
        ([-1], "stop_tokens must be ids from 0 to vocabulary_size - 1 = 19. Received: -1"),
        ([20], "Received: 20"),
        ([2**40], "Received: 1099511627776"),
    ):
        with pytest.raises(ValueError, match=message):
            prompts.stop_ids(wrong, 20)


def test_seeds():
    for seeds in ([5, 6], (5, 6), np.array([5, 6]), tf.constant([5, 6])):
        assert prompts.row_seeds(seeds, 2).tolist() == [5, 6]
    for seed in (7, np.int64(7), tf.constant(7)):
        assert prompts.row_seeds(seed, 3).tolist() == [7, 7, 7]
    for wrong in (1.5, "a", True, [1], [1, 2, 3], {}, [1.5, 2], 2**40):
        with pytest.raises(ValueError, match="seed must be an integer.*Received: seed="):
            prompts.row_seeds(wrong, 2)


def test_inside_a_graph():
    with pytest.raises(ValueError, match="prompts must have values: call outside of tf.function"):
        tf.function(lambda rows: prompts.parse_rows(rows, 20))(tf.constant(ROWS))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sampler": GreedySampler}, "sampler must be a Sampler or one of"),
        ({"sampler": None}, "sampler must be a Sampler or one of.*Received: sampler=None"),
        ({"sampler": ["greedy"]}, "sampler must be a Sampler or one of"),
        ({"sampler": TopKSampler(k=2), "k": 3}, "options must come with the name of a sampler. Received: .'k': 3"),
        ({"sampler": "top_k", "k": 2.5}, "k must be a positive integer. Received: k=2.5"),
        ({"sampler": "top_p", "p": "a"}, "p must be above 0 and at most 1. Received: p='a'"),
        ({"sampler": "random", "temperature": None}, "temperature must be positive. Received: temperature=None"),
        ({"repetition_penalty": "a"}, "repetition_penalty must be at least 1. Received: repetition_penalty='a'"),
        ({"sampler": "beam", "length_penalty": "a"}, "length_penalty must be at least 0"),
        ({"temperature": 0.5}, "sampler 'greedy' must have the options given. Received: .'temperature': 0.5"),
    ],
)
def test_samplers(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(ROWS, 2, **options)

"""Beam search against a search of all continuations."""

import itertools

import keras
import numpy as np
import pytest

from reformer_tf.generation import samplers
from reformer_tf.models import ReformerCausalLM

VOCABULARY = 4
NEW = 4


def _model(kinds=("local", "lsh"), **changes):
    options = {"chunk_length": 4, "num_hashes": 2, "num_buckets": 4, **changes}
    keras.utils.set_random_seed(0)
    model = ReformerCausalLM(VOCABULARY, 60, len(kinds), 16, 2, 8, 24, list(kinds), **options)
    rng = np.random.default_rng(3)
    # So large that a beam's history matters: with other beams' caches the search finds another continuation.
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(size=variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return _model()


def _continuations(stops):
    """Every continuation: up to a stop token, or of full length."""
    for length in range(1, NEW + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=length):
            ended = tokens[-1] in stops
            if not set(tokens[:-1]) & set(stops) and (ended or length == NEW):
                yield list(tokens)


def _scores(model, prompt, continuations, length_penalty):
    """The score of each continuation (Wu et al., 2016, equation 14), from the logits of whole sequences."""
    longest = max(map(len, continuations))
    rows = np.array([prompt + tokens + [0] * (longest - len(tokens)) for tokens in continuations], "int32")
    logits = model(rows) if model.backbone.strictly_causal else np.stack([model(row[None])[0] for row in rows])
    logits = np.asarray(logits, np.float64)[:, len(prompt) - 1 : -1]
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    scores = [
        row_scores[np.arange(len(tokens)), tokens].sum() / ((5 + len(tokens)) / 6) ** length_penalty
        for row_scores, tokens in zip(log_probabilities, continuations, strict=True)
    ]
    return np.array(scores)


@pytest.mark.parametrize("stops, length_penalty", [((), 0.0), ((2,), 0.0), ((2,), 1.0), ((0, 3), 0.7)])
def test_with_a_beam_for_each_continuation_it_finds_the_best(model, stops, length_penalty):
    prompts = [[1, 2, 3, 1, 0], [3], list(range(4)) * 3]
    beams = samplers.BeamSearch(VOCABULARY ** (NEW - 1), length_penalty)
    found = model.generate(prompts, NEW, sampler=beams, stop_tokens=stops)
    candidates = list(_continuations(stops))
    for prompt, tokens in zip(prompts, found, strict=True):
        scores = _scores(model, prompt, candidates, length_penalty)
        assert tokens == candidates[int(scores.argmax())]


def test_few_beams_equal_a_plain_search(model):
    """Compares with two beams without stop tokens, written out by hand."""
    for prompt in ([1, 2, 3], [0, 0]):
        live = [([], 0.0)]
        for _ in range(6):
            longer = [
                ([*tokens, token], _scores(model, prompt, [[*tokens, token]], 0.0)[0])
                for tokens, _ in live
                for token in range(VOCABULARY)
            ]
            live = sorted(longer, key=lambda beam: -beam[1])[:2]
        assert model.generate([prompt], 6, sampler="beam", num_beams=2) == [live[0][0]]


def test_one_beam_is_greedy_and_rows_are_on_their_own(model):
    prompts = [[1, 2, 3], [0], [3, 3, 1, 0, 2, 2]]
    assert model.generate(prompts, 8, sampler="beam", num_beams=1) == model.generate(prompts, 8)
    together = model.generate(prompts, 8, sampler="beam", num_beams=3)
    assert together == [model.generate([prompt], 8, sampler="beam", num_beams=3)[0] for prompt in prompts]


def test_models_without_caches():
    model = _model(["lsh"], attention_options={"lsh": {"window": "chunk"}})
    candidates = [list(tokens) for tokens in itertools.product(range(VOCABULARY), repeat=2)]
    (found,) = model.generate([[1, 2]], 2, sampler="beam", num_beams=VOCABULARY)
    assert found == candidates[int(_scores(model, [1, 2], candidates, 0.0).argmax())]


def test_arguments_are_checked(model):
    with pytest.raises(ValueError, match="num_beams must be a positive integer.*Received"):
        samplers.BeamSearch(0)
    with pytest.raises(ValueError, match="length_penalty must be at least 0.*Received: length_penalty=-1"):
        samplers.get("beam", length_penalty=-1)
    with pytest.raises(ValueError, match="token by token to be streamed.*Received: sampler='beam'"):
        model.stream([1], 3, sampler="beam")

"""Samplers beside a numpy reference: which tokens can be drawn, and how often each is."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.generation import samplers
from reformer_tf.generation.samplers import filters

V = 12
DRAWS = 10_000
# Of a chi-square distribution with 11 degrees of freedom, exceeded by chance once in a million times.
LIMIT = 51.0


def _logits(seed=0, rows=1):
    return np.random.default_rng(seed).normal(size=(rows, V)).astype(np.float32) * 1.5


def _softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _drawable(name, options, logits):
    """The reference: the tokens of a row that may be drawn, added one by one from the likeliest on."""
    ranking = sorted(range(V), key=lambda token: (-logits[token], token))
    if name == "top_k":
        return set(ranking[: options["k"]])
    if name == "top_p" and options["p"] < 1:
        probabilities, drawable, total = _softmax(logits.astype(np.float64)), set(), 0.0
        for token in ranking:
            if total >= options["p"]:
                break
            drawable.add(token)
            total += probabilities[token]
        return drawable
    return set(range(V))


CASES = [
    ("random", {}),
    ("random", {"temperature": 0.5}),
    ("random", {"temperature": 2.0, "repetition_penalty": 1.7}),
    ("top_k", {"k": 1}),
    ("top_k", {"k": 4, "temperature": 1.5}),
    ("top_k", {"k": 100}),
    ("top_p", {"p": 0.05}),
    ("top_p", {"p": 0.6}),
    ("top_p", {"p": 0.9, "temperature": 0.7, "repetition_penalty": 1.2}),
    ("top_p", {"p": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_distribution_and_exact_set(name, options):
    logits = _logits()[0]
    seen = np.arange(V) % 3 == 0
    penalty = options.get("repetition_penalty", 1.0)
    changed = np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)
    changed = (changed / options.get("temperature", 1.0)).astype(np.float32)
    drawable = _drawable(name, options, changed)
    expected = _softmax(np.where([token in drawable for token in range(V)], changed.astype(np.float64), -np.inf))

    drawn = samplers.get(name, **options)(
        np.repeat(logits[None], DRAWS, axis=0),
        seed=np.arange(DRAWS),
        positions=np.zeros(DRAWS, np.int32),
        seen=np.repeat(seen[None], DRAWS, axis=0),
    ).numpy()
    counts = np.bincount(drawn, minlength=V)
    assert set(np.flatnonzero(counts)) <= drawable
    likely = expected * DRAWS >= 5
    assert set(np.flatnonzero(counts)) >= set(np.flatnonzero(likely))
    found, wanted = counts[likely], expected[likely] * DRAWS
    assert ((found - wanted) ** 2 / wanted).sum() < LIMIT


def test_exact_sets_over_many_rows():
    logits = _logits(1, rows=200)
    logits[:20] = np.round(logits[:20])  # With ties.
    for k in (1, 3, V - 1, V):
        found = np.isfinite(filters.top_k(tf.constant(logits), k).numpy())
        for row, row_tokens in zip(logits, found, strict=True):
            assert set(np.flatnonzero(row_tokens)) == _drawable("top_k", {"k": k}, row)
    for p in (0.1, 0.5, 0.93):
        found = np.isfinite(filters.top_p(tf.constant(logits), p).numpy())
        for row, row_tokens in zip(logits, found, strict=True):
            assert set(np.flatnonzero(row_tokens)) == _drawable("top_p", {"p": p}, row)


def test_parameters_of_each_row():
    logits = tf.constant(_logits(2, rows=3))
    together = filters.top_k(logits, tf.constant([1, 5, 0]))
    for row, k in enumerate((1, 5, 0)):
        np.testing.assert_array_equal(together[row], filters.top_k(logits[row : row + 1], k)[0])
    together = filters.top_p(logits, tf.constant([0.2, 1.0, 0.7]))
    for row, p in enumerate((0.2, 1.0, 0.7)):
        np.testing.assert_array_equal(together[row], filters.top_p(logits[row : row + 1], p)[0])


def test_greedy():
    logits = _logits(3, rows=50)
    logits[0] = 1.0
    found = samplers.get("greedy")(logits, seed=0, positions=np.zeros(50, np.int32)).numpy()
    np.testing.assert_array_equal(found, logits.argmax(axis=1))
    penalized = samplers.GreedySampler(repetition_penalty=1e6)
    seen = np.zeros((50, V), bool)
    seen[np.arange(50), found] = True
    again = penalized(np.abs(logits) + 1.0, 0, np.zeros(50, np.int32), seen=seen).numpy()
    assert not seen[np.arange(50), again].any()


def test_draws_depend_only_on_seed_and_position():
    sampler = samplers.RandomSampler()
    logits, positions = _logits(4, rows=64), np.arange(64, dtype=np.int32)
    found = sampler(logits, 5, positions).numpy()
    np.testing.assert_array_equal(found, sampler(logits, 5, positions).numpy())
    compiled = tf.function(sampler.__call__, jit_compile=True)
    np.testing.assert_array_equal(found, compiled(logits, 5, positions).numpy())
    np.testing.assert_array_equal(found[::-2], sampler(logits[::-2], 5, positions[::-2]).numpy())
    assert (found != sampler(logits, 6, positions).numpy()).any()
    assert (found != sampler(logits, 5, positions + 1).numpy()).any()
    rows_own = np.arange(64) % 2 + 5
    rows_tokens = sampler(logits, rows_own, positions).numpy()
    np.testing.assert_array_equal(rows_tokens[::2], found[::2])
    np.testing.assert_array_equal(rows_tokens[1::2], sampler(logits[1::2], 6, positions[1::2]).numpy())


def test_draws_at_successive_positions_are_independent():
    """One seed, many positions: pairs of draws one after another fill a table as independent ones would."""
    uniform = np.zeros([DRAWS, 4], np.float32)
    found = samplers.RandomSampler()(uniform, 3, np.arange(DRAWS)).numpy()
    counts = np.bincount(4 * found[:-1] + found[1:], minlength=16)
    wanted = (DRAWS - 1) / 16
    assert ((counts - wanted) ** 2 / wanted).sum() < 60.0  # 15 degrees of freedom: by chance once in a million times.


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_config(name):
    options = {"length_penalty": 0.5} if name == "beam" else {"repetition_penalty": 1.5}
    sampler = samplers.get(name, **options)
    assert options.items() <= sampler.get_config().items()
    again = samplers.get(name, **sampler.get_config())
    assert type(again) is samplers.SAMPLERS[name]
    assert again.get_config() == sampler.get_config()
    assert again == sampler
    assert hash(again) == hash(sampler)
    assert samplers.get(name) != sampler
    assert samplers.get(sampler) is sampler


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("best",), "sampler must be a Sampler or one of .* Received: sampler='best'"),
        (("top_k", {"p": 0.5}), "sampler 'top_k' must have the options given. Received: {'p': 0.5}"),
        (("top_k", {"k": 0}), "k must be a positive integer. Received: k=0"),
        (("top_p", {"p": 0.0}), "p must be above 0 and at most 1. Received: p=0.0"),
        (("top_p", {"p": 1.5}), "p must be above 0 and at most 1. Received: p=1.5"),
        (("random", {"temperature": 0.0}), "temperature must be positive. Received: temperature=0.0"),
        (("random", {"temperature": float("nan")}), "temperature must be positive. Received: temperature=nan"),
        (("greedy", {"repetition_penalty": 0.5}), "repetition_penalty must be at least 1. Received: .*=0.5"),
        ((samplers.GreedySampler(), {"k": 1}), "options must come with the name of a sampler"),
    ],
)
def test_refused(arguments, message):
    name, options = arguments if len(arguments) == 2 else (*arguments, {})
    with pytest.raises(ValueError, match=message):
        samplers.get(name, **options)


def test_a_penalty_needs_what_was_seen():
    with pytest.raises(ValueError, match="seen must be given with a repetition_penalty"):
        samplers.RandomSampler(repetition_penalty=2.0)(_logits(), 0, [0])

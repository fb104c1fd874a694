"""Generation equals running the model on the prefix, token after token."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.generation import token_loop
from reformer_tf.models import ReformerCausalLM

_RELEASED = {"window": "chunk", "wrap": True}
_KINDS = {
    "strictly causal": {},
    "chunks around the ends": {"attention_options": {"lsh": _RELEASED, "local": _RELEASED}},
    "chunks, buckets that follow the length": {"kinds": ["lsh"], "attention_options": {"lsh": {"window": "chunk"}}},
}


def _model(kinds=("local", "lsh"), **changes):
    model = ReformerCausalLM(
        40, 150, len(kinds), 24, 2, 8, 32, kinds, **{"chunk_length": 8, "num_hashes": 2, **changes}
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("kind", _KINDS)
def test_equals_running_the_prefix(kind):
    model = _model(**_KINDS[kind])
    assert model.backbone.strictly_causal == (kind == "strictly causal")
    prompts = [[1, 2, 3], [4], list(range(20))]
    new = model.generate(prompts, max_new_tokens=4)
    for prompt, continuation in zip(prompts, new, strict=True):
        row = list(prompt)
        for token in continuation:
            assert token == int(np.argmax(model(np.array([row], "int32"))[0, -1]))
            row.append(token)
    assert [len(x) for x in new] == [4, 4, 4]
    sampled = model.generate(prompts, 4, sampler="random", seed=5)
    assert sampled == model.generate(prompts, 4, sampler="random", seed=5)
    assert sampled[0] == model.generate([prompts[0], [9, 9]], 4, sampler="random", seed=5)[0]


@pytest.mark.parametrize("exact_length, strictly", [(8, True), (17, False)])
def test_causal_chunks_cut_by_position_see_no_later_token(exact_length, strictly):
    options = {"local": {**_RELEASED, "exact_length": exact_length}}
    model = _model(["local"], attention_options=options)
    assert model.backbone.strictly_causal == strictly
    ids = np.random.default_rng(1).integers(0, 40, (1, 20)).astype("int32")
    moved = np.abs(model(ids)[:, :17] - model(ids[:, :17])).max()
    assert (moved < 1e-5) == strictly


def test_adapters_that_came_since_are_used():
    model = _model(kinds=["local"])
    before = model.generate([[1, 2, 3]], 4)
    model.train_adapters(2)
    rng = np.random.default_rng(1)
    for variable in model.backbone.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    (after,) = model.generate([[1, 2, 3]], 4)
    assert [after] != before
    assert after == list(np.asarray(model(np.array([[1, 2, 3, *after]])))[0, 2:6].argmax(axis=-1))
    model.merge_adapters()
    assert model.generate([[1, 2, 3]], 4) == [after]


@pytest.fixture(scope="module")
def model():
    return _model()


def test_new_weights_are_used(model):
    before = model.generate([[1, 2, 3]], 4)
    kernel = model.trainable_variables[-1]
    value = kernel.numpy()
    kernel.assign(np.roll(value, 1, axis=-1))
    after = model.generate([[1, 2, 3]], 4)
    kernel.assign(value)
    assert before != after
    assert model.generate([[1, 2, 3]], 4) == before


def test_a_row_does_not_depend_on_the_others(model):
    prompts = [[1, 2, 3], [4], list(range(20))]
    for sampler in ({"sampler": "top_k", "k": 5}, {"sampler": "top_p", "p": 0.8, "repetition_penalty": 1.3}):
        together = model.generate(prompts, 6, seed=[3, 4, 5], **sampler)
        for prompt, seed, row in zip(prompts, [3, 4, 5], together, strict=True):
            assert model.generate([prompt], 6, seed=seed, **sampler) == [row]
        assert model.generate(prompts[::-1], 6, seed=[5, 4, 3], **sampler) == together[::-1]
    assert (
        model.generate([[1], [1]], 6, sampler="random", seed=[1, 2])[0]
        != model.generate([[1]], 6, sampler="random", seed=2)[0]
    )


def test_what_fills_up_a_prompt_was_not_seen():
    """Otherwise a repetition penalty would apply to it, but only in short rows."""
    looks = []

    def choose(logits, positions, seen):
        looks.append(seen.numpy())
        return tf.constant([5, 0])

    ids, lengths, limits = tf.constant([[1, 2, 3], [4, 0, 0]]), tf.constant([3, 1]), tf.constant([2, 2])
    stop_tokens = tf.zeros([0], tf.int32)
    progress = token_loop.begin(tf.zeros([2, 6]), None, ids, lengths, limits, choose, stop_tokens, looks_back=True)
    assert [set(np.flatnonzero(row)) for row in looks[0]] == [{1, 2, 3}, {4}]
    assert [set(np.flatnonzero(row)) for row in progress.seen] == [{1, 2, 3, 5}, {0, 4}]


def test_stop_tokens_end_a_row(model):
    prompts = [[1, 2, 3], [4], list(range(20))]
    free = model.generate(prompts, 8, sampler="random", seed=2)
    stop = free[0][3]
    stopped = model.generate(prompts, 8, sampler="random", seed=2, stop_tokens=[stop])
    for row, whole in zip(stopped, free, strict=True):
        end = whole.index(stop) + 1 if stop in whole else len(whole)
        assert row == whole[:end]
    assert len(stopped[0]) <= 4


@pytest.mark.parametrize("seed", [[1], [1, 2, 3], 2**31, "a"])
def test_seeds_that_cannot_be(model, seed):
    with pytest.raises(ValueError, match="seed must be"):
        model.generate([[1], [2]], 2, sampler="random", seed=seed)


def test_a_stream_gives_the_same_ids_one_by_one(model):
    for sampler in ({}, {"sampler": "top_k", "k": 5, "repetition_penalty": 1.2, "seed": 3}):
        (whole,) = model.generate([[1, 2, 3]], 9, **sampler)
        stream = model.stream([1, 2, 3], 9, **sampler)
        assert next(stream) == whole[0]
        assert list(stream) == whole[1:]
        stop = whole[4]
        end = whole.index(stop) + 1
        assert list(model.stream([1, 2, 3], 9, stop_tokens=[stop], **sampler)) == whole[:end]
    with pytest.raises(ValueError, match="max_new_tokens must be a positive integer"):
        model.stream([1], 0)  # Raised by the call, not by the first id.


def test_prompts_are_left_as_they_are(model):
    """Caches are written in place, which must not change tensors of the caller, the weights or another call."""
    prompt = np.arange(20, dtype=np.int32)
    weights = [variable.numpy().copy() for variable in model.variables]
    first = model.stream(prompt, 12, sampler="random", seed=1)
    second = model.stream(prompt, 12, sampler="random", seed=2)
    pairs = [(a, b) for a, b in zip(first, second, strict=True)]
    assert [a for a, _ in pairs] == model.generate([prompt], 12, sampler="random", seed=1)[0]
    assert [b for _, b in pairs] == model.generate([prompt], 12, sampler="random", seed=2)[0]
    np.testing.assert_array_equal(prompt, np.arange(20))
    for before, variable in zip(weights, model.variables, strict=True):
        np.testing.assert_array_equal(before, variable)

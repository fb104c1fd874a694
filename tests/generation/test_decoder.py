"""A prompt at once, and then token after token, equals the model on the whole sequence at every position."""

import functools
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.generation import decoder, token_loop
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import hashing
from tests.testing import near_ties

# Several windows of 16, and lengths below, at and above one.
CHUNK, TOTAL, STEPS = 16, 280, 21
VOCABULARY = 40
_LSH = {"lsh": {"local_round": False}}
KINDS = [kind for kind, cls in ATTENTION_LAYERS.items() if cls.capabilities.decoding_cache]
_MODELS = {
    **{kind: {"attention_layers": [kind]} for kind in KINDS},
    "every kind": {"attention_layers": [*KINDS, "lsh"], "num_layers": len(KINDS) + 1, "rotary": True},
    "hash rounds alone": {
        "attention_layers": ["lsh"],
        "attention_options": _LSH,
        "num_hashes": 4,
        "num_buckets": [4, 2],
    },
    "shared": {
        "attention_layers": ["local", "full"],
        "attention_options": {
            "local": {"shared_query_key": True, "use_bias": True},
            "full": {"shared_query_key": True, "rotary": False},
        },
        "rotary": True,
        "positions": "none",
    },
    "both streams": {
        "attention_layers": ["lsh"],
        "num_layers": 1,
        "combine_streams": "concatenate",
        "tie_embeddings": False,
        "positions": "sinusoidal",
    },
    "windows of one": {
        "attention_layers": ["lsh", "local"],
        "chunk_length": 1,
        "num_buckets": 4,
        "positions": "learned",
    },
}


class _Case:
    """A model, the logits of whole sequences, and the two programs of its decoder."""

    def __init__(self, **options):
        sizes = {
            "num_layers": 2,
            "hidden_dim": 24,
            "num_heads": 2,
            "key_dim": 8,
            "intermediate_dim": 32,
            "num_hashes": 2,
            "chunk_length": CHUNK,
        }
        self.model = ReformerCausalLM(VOCABULARY, TOTAL, **{**sizes, **options})
        rng = np.random.default_rng(0)
        self.ids = rng.integers(0, VOCABULARY, (3, TOTAL)).astype("int32")
        start = [variable.numpy() for variable in self.model.trainable_variables]
        # Until rounding can flip no hash; `test_near_ties` tests what happens when it does.
        nearest = 0.0
        while nearest < 1e-5:
            for variable, value in zip(self.model.trainable_variables, start, strict=True):
                variable.assign(value + 0.3 * rng.normal(size=value.shape))
            self.expected, nearest = _logits_and_nearest_tie(self.model, self.ids)
        self.decoder = decoder.make_decoder(self.model)
        ints = lambda *shape: tf.TensorSpec(shape, tf.int32)
        self.prefill = tf.function(self.decoder.prefill, input_signature=[ints(None, None), ints(None), ints()])
        outputs = self.prefill.get_concrete_function().structured_outputs
        specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)
        self.step = tf.function(self.decoder.step, input_signature=[ints(None), ints(None), specs[1]])


def _logits_and_nearest_tie(model, ids):
    """The model's logits, and the smallest gap of its hashes, relative to the norm of the hashed vectors."""
    gaps, plain = [np.inf], hashing.hash_vectors

    def watched(vectors, rotations, factors):
        x = np.asarray(vectors, np.float64)
        sizes = np.linalg.norm(x, axis=-1)[:, :, None]
        gaps.append((near_ties.gaps(x, np.asarray(rotations), factors) / sizes).min())
        return plain(vectors, rotations, factors)

    with mock.patch.object(hashing, "hash_vectors", watched):
        return model(ids).numpy(), min(gaps)


@functools.cache
def _case(name):
    return _Case(**_MODELS[name])


def _differences(case, prompts, steps, rows):
    """The largest differences of logits at each step, `[1 + steps, rows]`; the padding holds an arbitrary id."""
    lengths = np.asarray(prompts, np.int32)
    padded = np.full((len(rows), max(prompts)), VOCABULARY - 1, np.int32)
    for index, (row, length) in enumerate(zip(rows, prompts, strict=True)):
        padded[index, :length] = case.ids[row, :length]
    logits, state = case.prefill(padded, lengths, np.int32(max(prompts) + steps))
    found = [logits.numpy()]
    for index in range(steps):
        positions = lengths + index
        logits, state = case.step(case.ids[rows, positions], positions, state)
        found.append(logits.numpy())
    expected = np.stack([case.expected[rows, lengths - 1 + index] for index in range(steps + 1)])
    return np.abs(np.stack(found) - expected).max(axis=-1)


@pytest.mark.parametrize("prompt", [1, CHUNK - 1, CHUNK, CHUNK + 1, 250])
@pytest.mark.parametrize("name", [pytest.param(x, marks=pytest.mark.slow) if x in KINDS else x for x in _MODELS])
def test_equals_the_whole_sequence(name, prompt):
    case = _case(name)
    assert decoder.has_caches(case.model)
    assert _differences(case, [prompt], STEPS, [0]).max() < 1e-4
    others = [min(prompt + 7, 250), max(prompt // 2, 1)]
    assert _differences(case, [prompt, *others], STEPS, [0, 1, 2]).max() < 1e-4


@pytest.mark.parametrize("name", ["every kind", "hash rounds alone"])
def test_a_token_at_a_time_from_the_first(name):
    assert _differences(_case(name), [1, 1], 260, [0, 2]).max() < 1e-4


def test_what_has_no_cache_runs_the_prefix():
    released = {"lsh": {"window": "chunk", "wrap": True}}
    case = _Case(attention_layers=["lsh"], attention_options=released, chunk_length=4, num_layers=1)
    assert not decoder.has_caches(case.model)
    prompts = [5, 1, 40]
    padded = np.zeros((3, 40), np.int32)
    for row, length in enumerate(prompts):
        padded[row, :length] = case.ids[row, :length]
    lengths = np.asarray(prompts, np.int32)
    logits, state = case.prefill(padded, lengths, np.int32(45))
    for index in range(4):
        for row, length in enumerate(lengths + index):
            expected = case.model(case.ids[row : row + 1, :length])[0, -1]
            np.testing.assert_allclose(logits[row], expected, atol=1e-5)
        logits, state = case.step(case.ids[[0, 1, 2], lengths + index], lengths + index, state)


def test_the_state_of_an_lsh_layer_has_keys_and_values_once():
    """Not once for each round, of which there are four."""
    state_bytes = lambda capacity: sum(
        x.numpy().nbytes
        for x in tf.nest.flatten(_case("hash rounds alone").prefill(np.ones([1, 1], np.int32), [1], capacity)[1])
    )
    # Two layers, keys and values, two heads of 8 numbers of 4 bytes.
    assert state_bytes(260) - state_bytes(10) == 250 * 2 * 2 * 2 * 8 * 4


@pytest.mark.parametrize("name", ["every kind", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS)])
def test_rows_with_limits_of_their_own_do_not_overwrite_each_other(name):
    """A row that ends at the last position of the capacity stays there while the others go on."""
    case = _case(name)
    choose = lambda logits, positions, seen: tf.argmax(logits, axis=-1, output_type=tf.int32)
    stops, per_row = tf.zeros([0], tf.int32), tf.TensorSpec([None], tf.int32)

    # Traced once for all rows and lengths.
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), per_row, per_row])
    def go_on(ids, lengths, limits):
        capacity = tf.maximum(tf.shape(ids)[1], tf.reduce_max(lengths + limits) - 1)
        logits, state = case.decoder.prefill(ids, lengths, capacity)
        return token_loop.go_on(case.decoder, logits, state, lengths, limits, choose, stops)

    def continued(rows, lengths, limits):
        found = go_on(tf.constant(case.ids[rows, : max(lengths)]), tf.constant(lengths), tf.constant(limits)).numpy()
        return [[token for token in row if token != token_loop.NOTHING] for row in found.tolist()]

    lengths, limits = [12, 1, 5, 13], [2, 9, 8, 1]
    together = continued([0, 1, 2, 0], lengths, limits)
    assert [len(row) for row in together] == limits
    for row, length, limit, found in zip([0, 1, 2, 0], lengths, limits, together, strict=True):
        assert continued([row], [length], [limit]) == [found]

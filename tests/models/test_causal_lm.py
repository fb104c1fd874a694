"""The complete language model, six layers deep, with weights that are not tiny."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerBackbone, ReformerCausalLM
from reformer_tf.ops import hashing, replay
from tests.testing import near_ties

ARGUMENTS = {
    "vocabulary_size": 40,
    "max_sequence_length": 150,
    "num_layers": 6,
    "hidden_dim": 24,
    "num_heads": 2,
    "key_dim": 8,
    "intermediate_dim": 32,
    "attention_layers": ["local", "lsh", "full"],
    "chunk_length": 8,
    "num_hashes": 2,
}
SMALL = {**ARGUMENTS, "num_layers": 2, "attention_layers": ["local", "lsh"]}


def _model(**changes):
    model = ReformerCausalLM(**{**ARGUMENTS, **changes})
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return model


def _ids(batch=3, length=131, seed=1):
    return np.random.default_rng(seed).integers(0, ARGUMENTS["vocabulary_size"], (batch, length)).astype("int32")


class _Hashes:
    """Records a model's hashing: buckets of each layer, gaps between the two best projections, and projections."""

    def __init__(self, monkeypatch):
        self.buckets, self.gaps, self.projections = [], [], []
        plain = hashing.hash_vectors

        def hash_vectors(vectors, rotations, factors):
            x, r = np.asarray(vectors, np.float64), np.asarray(rotations)
            self.gaps.append(near_ties.gaps(x, r, factors))
            self.projections.append(np.einsum("bhld,hdrn->bhrln", x, r))
            self.buckets.append(np.asarray(plain(vectors, rotations, factors)))
            return plain(vectors, rotations, factors)

        monkeypatch.setattr(hashing, "hash_vectors", hash_vectors)

    def take(self):
        taken = self.buckets, self.gaps, self.projections
        self.buckets, self.gaps, self.projections = [], [], []
        return taken


def _assert_early_outputs_stay(monkeypatch, model, first, second, unchanged, valid=None):
    """Outputs of the first `unchanged` positions are the same for two calls, each a pair of ids and call options.

    With the same buckets they agree to 1e-5. Otherwise too, unless a bucket differs; in the first layer with different
    buckets each of these must be a near-tie, a gap within the error of the projections there.
    """
    hashes = _Hashes(monkeypatch)
    valid = np.ones((len(first[0]), unchanged), bool) if valid is None else valid[:, :unchanged]
    expected = model(first[0], **first[1]).numpy()[:, :unchanged][valid]
    buckets, gaps, projections = hashes.take()
    actual = model(second[0], **second[1]).numpy()[:, :unchanged][valid]
    others, _, moved = hashes.take()
    scale = max(1.0, np.abs(expected).max())
    same = True
    for b, o, gap, p, q in zip(buckets, others, gaps, projections, moved, strict=True):
        here = valid[:, None, None, :]
        differ = (b[..., :unchanged] != o[..., :unchanged]) & here
        if differ.any():
            error = np.abs(p[..., :unchanged, :] - q[..., :unchanged, :])[np.broadcast_to(here, differ.shape)].max()
            assert error < 1e-4
            assert gap[..., :unchanged][differ].max() <= 2 * error
            same = False
            break
    if same:
        assert np.abs(actual - expected).max() <= 1e-5 * scale
        return
    injected = [
        np.concatenate([b[..., :unchanged], o[..., unchanged:]], axis=-1) for b, o in zip(buckets, others, strict=True)
    ]
    with replay.replaying(injected):
        actual = model(second[0], **second[1]).numpy()[:, :unchanged][valid]
    assert np.abs(actual - expected).max() <= 1e-5 * scale


@pytest.mark.parametrize("unchanged", [1, 50, 127])
def test_later_tokens_do_not_move_earlier_outputs(monkeypatch, unchanged):
    model, ids = _model(), _ids()
    changed = ids.copy()
    changed[:, unchanged:] = _ids(seed=2)[:, unchanged:]
    _assert_early_outputs_stay(monkeypatch, model, (ids, {}), (changed, {}), unchanged)
    _assert_early_outputs_stay(monkeypatch, model, (ids, {}), (ids[:, :unchanged], {}), unchanged)


@pytest.mark.parametrize("causal", [True, False])
def test_padding_its_content_and_neighbours_do_not_matter(monkeypatch, causal):
    model = ReformerBackbone(**ARGUMENTS, causal=causal)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    ids, mask = _ids(length=100), np.ones((3, 100), bool)
    mask[1, 60:] = False
    mask[2, 20:30] = False
    padded = np.concatenate([np.where(mask, ids, 7), _ids(length=31, seed=5)], axis=1)
    longer = np.pad(mask, [(0, 0), (0, 31)])
    _assert_early_outputs_stay(monkeypatch, model, (ids, {"mask": mask}), (padded, {"mask": longer}), 100, mask)
    permutation = [2, 0, 1]
    permuted = model(ids[permutation], mask=mask[permutation]).numpy()[np.argsort(permutation)]
    expected = model(ids, mask=mask).numpy()
    np.testing.assert_allclose(permuted[mask], expected[mask], atol=1e-5 * np.abs(expected).max())
    unpadded = model(ids[1:2, :60]).numpy()
    np.testing.assert_allclose(unpadded[0], expected[1, :60], atol=1e-5 * np.abs(expected).max())


def _gradients(model, ids, mask, seed):
    with tf.GradientTape() as tape:
        losses = model.token_losses(ids, mask=mask, training=True, seed=seed)
        loss = tf.reduce_sum(losses)
    return [losses, *(tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables))]


# In CI only in a graph: `test_keras_citizens` compares shallower models eagerly.
@pytest.mark.parametrize(
    "mode", [pytest.param("eager", marks=pytest.mark.slow), "graph", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_the_reversible_model_trains_as_the_plain_one(mode):
    ids, mask = _ids(), np.ones((3, 131), bool)
    mask[1, 80:] = False
    results = []
    for reversible in (True, False):
        model = _model(reversible=reversible, dropout=0.1, attention_dropout=0.1)
        call = lambda ids, mask, seed, model=model: _gradients(model, ids, mask, seed)
        if mode != "eager" and reversible:
            call = tf.function(call, jit_compile=mode == "xla")
        results.append([x.numpy() for x in call(tf.constant(ids), tf.constant(mask), tf.constant([1, 2]))])
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-4)
    largest = max(np.abs(g).max() for g in results[1][1:])
    for a, b in zip(results[0][1:], results[1][1:], strict=True):
        assert np.abs(a - b).max() <= 1e-5 * largest


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_token_losses_are_the_cross_entropies_of_the_logits(tie_embeddings):
    model, ids = _model(tie_embeddings=tie_embeddings), _ids()
    mask = np.random.default_rng(0).random(ids.shape) < 0.8
    log_probabilities = tf.nn.log_softmax(model(ids[:, :-1], mask=mask[:, :-1])).numpy()
    expected = -np.take_along_axis(log_probabilities, ids[:, 1:, None], axis=2)[..., 0] * mask[:, 1:]
    np.testing.assert_allclose(model.token_losses(ids, mask=mask), expected, atol=1e-4)
    assert len(model.trainable_variables) == len(_model(tie_embeddings=not tie_embeddings).trainable_variables) + (
        -1 if tie_embeddings else 1
    )


def test_a_seed_decides_training_and_inference_needs_none():
    model, ids = _model(**SMALL, dropout=0.1, attention_dropout=0.1), _ids()
    loss = lambda seed, **options: model.token_losses(ids, seed=tf.constant(seed), **options).numpy()
    np.testing.assert_array_equal(loss([1, 2], training=True), loss([1, 2], training=True))
    assert np.abs(loss([1, 2], training=True) - loss([1, 3], training=True)).max() > 1e-3
    np.testing.assert_array_equal(loss([1, 2]), loss([1, 3]))
    np.testing.assert_array_equal(loss([1, 2]), model.token_losses(ids))
    # A row's randomness follows its index in the global batch.
    expected = loss([1, 2, 0], training=True)
    part = model.token_losses(ids[1:], seed=tf.constant([1, 2, 1]), training=True)
    np.testing.assert_allclose(part, expected[1:], atol=1e-4)


def test_segments_do_not_see_each_other():
    model, ids = _model(positions="none"), _ids(batch=1, length=100)
    segments = np.repeat([0, 1], [37, 63])[None]
    y = model(ids, segment_ids=segments).numpy()
    np.testing.assert_allclose(model(ids[:, :37]).numpy(), y[:, :37], atol=1e-4)
    np.testing.assert_allclose(model(ids[:, 37:]).numpy(), y[:, 37:], atol=1e-4)


def test_use_inside_another_model_with_unknown_sizes():
    ids = keras.Input((None,), dtype="int32")
    x = ReformerBackbone(**SMALL)(ids)
    model = keras.Model(ids, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))
    assert model.output_shape == (None, 3)
    for length in (1, 9, 150):
        assert model(_ids(length=length)).shape == (3, 3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"attention_layers": ["lhs"]}, r"attention_layers must name kinds among.*Received: 'lhs'"),
        ({"attention_layers": "lsh"}, "attention_layers must be a list"),
        ({"attention_layers": []}, "attention_layers must name the kind of each layer"),
        ({"num_layers": 5}, "whose length divides num_layers"),
        ({"key_dim": 0}, "key_dim must be a positive integer. Received: key_dim=0"),
        ({"key_dim": -8}, "key_dim must be a positive integer. Received: key_dim=-8"),
        ({"num_buckets": 7}, "num_buckets must be a positive even integer"),
        ({"num_buckets": [4, 3]}, "num_buckets must be a positive even integer"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"max_sequence_length": 0}, "max_sequence_length must be a positive integer"),
        ({"axial_shape": [4, 5]}, "product of axial_shape must reach max_sequence_length"),
        ({"positions": "round"}, "positions must be one of"),
        ({"causal": True}, "causal is always True"),
        ({"seed": "one"}, "seed must be an integer"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        ReformerCausalLM(**{**ARGUMENTS, **changes})


def test_inputs_are_checked():
    model = ReformerCausalLM(**{**SMALL, "num_layers": 1, "attention_layers": ["local"]})
    for length in (0, 151):
        with pytest.raises(ValueError, match=f"at most max_sequence_length=150. Received: length {length}"):
            model(np.zeros((1, length), "int32"))
    with pytest.raises(ValueError, match="length >= 2"):
        model.token_losses(np.zeros((1, 1), "int32"))
    with pytest.raises(ValueError, match="mask must be a boolean or integer tensor"):
        model.token_losses(np.zeros((1, 5), "int32"), mask=np.ones(5, bool))
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_sequence_length=150"):
        tf.function(model, input_signature=[tf.TensorSpec([None, None], tf.int32)])(np.zeros((1, 151), "int32"))
    for bad, message in (
        ({"prompts": [[]]}, "at least one id"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a positive integer"),
        ({"max_new_tokens": 151}, "must fit max_sequence_length"),
        ({"sampler": "best"}, "sampler must be a Sampler or one of"),
        ({"sampler": "random", "temperature": 0.0}, "temperature must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(**{"prompts": [[1]], "max_new_tokens": 3, **bad})

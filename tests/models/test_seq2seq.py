"""ReformerSeq2Seq against the reference; padding, neighbours and order of rows; generation; fit, files, policies."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.generation import samplers
from reformer_tf.models import ReformerDecoder, ReformerSeq2Seq
from tests.models.seq2seq_cases import HASHED, SOURCES, TARGETS, data, make
from tests.testing import seq2seq_reference


def _trailing(pairs):
    """The same ids, with masks as padding at the end makes them."""
    masks = {f"{name}_mask": np.arange(pairs[name].shape[1]) < [[9], [4], [1]] for name in ("source", "target")}
    return {**pairs, **masks}


def _row(pairs, row):
    """A pair without its padding."""
    return {name: pairs[name][row : row + 1, pairs[f"{name}_mask"][row]] for name in ("source", "target")}


@pytest.mark.parametrize("layers", [1, 2])
def test_it_equals_the_reference(layers):
    model = make(num_decoder_layers=layers, positions="learned", activation="relu", label_smoothing=0.2)
    pairs = data()
    reference = seq2seq_reference.logits(seq2seq_reference.weights(model), **pairs)
    counted = pairs["target_mask"]
    np.testing.assert_allclose(model(pairs).numpy()[counted], reference[counted], atol=2e-5)
    for training, smoothing in ((False, 0.0), (True, 0.2)):
        expected = np.where(counted, seq2seq_reference.losses(reference, pairs["target"], smoothing), 0)
        np.testing.assert_allclose(model.token_losses(pairs, training), expected, atol=2e-5)
    right = model.token_scores(pairs)[1]
    np.testing.assert_array_equal(right, (reference.argmax(-1) == pairs["target"]) & counted)


def test_gradients_are_those_of_the_reference():
    """Central differences of the reference along a random direction of each weight."""
    model = make(num_decoder_layers=1, positions="learned", activation="relu", label_smoothing=0.2)
    pairs = data()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.token_losses(pairs, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    values = {id(v): v.numpy().astype("float64") for v in model.trainable_variables}
    rng = np.random.default_rng(4)

    def loss_of(values):
        weights = seq2seq_reference.weights(model, lambda variable: values[id(variable)])
        losses = seq2seq_reference.losses(seq2seq_reference.logits(weights, **pairs), pairs["target"], 0.2)
        return losses[pairs["target_mask"]].sum()

    assert len(values) == len(model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        gradient, direction = tf.convert_to_tensor(gradient).numpy(), rng.normal(size=variable.shape)
        moved = [{**values, id(variable): values[id(variable)] + s * 1e-6 * direction} for s in (1, -1)]
        expected = (loss_of(moved[0]) - loss_of(moved[1])) / 2e-6
        assert abs(np.sum(gradient * direction) - expected) < 1e-3 * np.linalg.norm(gradient) + 1e-3, variable.path


@pytest.mark.parametrize("changes", [{}, HASHED], ids=["full", "hashed"])
@pytest.mark.parametrize("cross", ["full", "performer"])
def test_padding_neighbours_and_the_sequence_of_rows_change_nothing(changes, cross):
    model, pairs = make(cross_attention=cross, **changes), _trailing(data())
    logits, losses = model(pairs).numpy(), model.token_losses(pairs).numpy()
    for row in range(3):
        alone, count = _row(pairs, row), pairs["target_mask"][row].sum()
        np.testing.assert_allclose(model(alone)[0], logits[row, :count], atol=1e-5)
        np.testing.assert_allclose(model.token_losses(alone)[0], losses[row, :count], atol=1e-5)
    other = {name: np.where(pairs[f"{name}_mask"], pairs[name], 10**6) for name in ("source", "target")}
    reversed_rows = {name: x[::-1] for name, x in {**pairs, **other}.items()}
    np.testing.assert_allclose(model.token_losses(reversed_rows), losses[::-1], atol=1e-5)
    longer = {name: np.pad(x, [(0, 0), (0, 5)]) for name, x in pairs.items()}
    np.testing.assert_allclose(model.token_losses(longer)[:, :9], losses, atol=1e-5)


def test_a_position_depends_on_the_source_and_the_tokens_before_it():
    model, pairs = make(**HASHED), data(masks=False)
    logits = model(pairs).numpy()
    changed = pairs["target"].copy()
    changed[:, 4:] = (changed[:, 4:] + 1) % TARGETS
    other = model({**pairs, "target": changed}).numpy()
    np.testing.assert_allclose(other[:, :5], logits[:, :5], atol=1e-5)
    assert np.abs(other[:, 5] - logits[:, 5]).max() > 1e-3
    moved = {**pairs, "source": (pairs["source"] + 1) % SOURCES}
    assert np.abs(model(moved)[:, 0] - logits[:, 0]).max() > 1e-3


@pytest.mark.parametrize(
    "cross, changes", [("full", {}), pytest.param("performer", HASHED, marks=pytest.mark.slow)], ids=["full", "hashed"]
)
def test_generating_equals_teacher_forcing_and_beams_equal_brute_force(cross, changes):
    model = make(cross_attention=cross, **changes)
    sources = [[1, 2, 3, 4, 5, 6, 7], [8], [10, 9, 8]]
    for source, target in zip(sources, model.generate(sources, 6, sampler="greedy"), strict=True):
        logits = model({"source": np.array([source]), "target": np.array([target])})
        np.testing.assert_array_equal(np.argmax(logits[0], -1), target)
    drawn = model.generate(sources, 6, sampler="top_p", p=0.9, seed=7)
    assert [model.generate([source], 6, sampler="top_p", p=0.9, seed=7)[0] for source in sources] == drawn

    assert model.generate(sources, 4) == model.generate(sources, 4, sampler=samplers.BeamSearch(4, 0.6))
    new, stop, penalty = 3, 0, 0.6
    options = {"num_beams": TARGETS ** (new - 1), "length_penalty": penalty}
    found = model.generate(sources, new, sampler="beam", stop_tokens=[stop], **options)
    for source, target in zip(sources, found, strict=True):
        scores = {}
        for length in range(1, new + 1):
            rows = np.array(list(itertools.product(range(TARGETS), repeat=length)))
            rows = [row for row in rows if stop not in row[:-1] and (row[-1] == stop or length == new)]
            pairs = {"source": np.repeat([source], len(rows), axis=0), "target": np.array(rows)}
            totals = -model.token_losses(pairs).numpy().sum(axis=1) / ((5 + length) / 6) ** penalty
            scores |= {tuple(map(int, row)): total for row, total in zip(rows, totals, strict=True)}
        assert scores[tuple(target)] == max(scores.values())


@pytest.mark.slow
def test_kinds_that_run_their_prefix_again_generate_the_same():
    """Chunk windows: a longer target changes earlier outputs, and padding the encoder's."""
    window = {"lsh": {"window": "chunk", "num_buckets": 2, "local_round": False}}
    model = make(
        encoder_attention_layers=["lsh"], decoder_attention_layers=["lsh"], attention_options=window, num_hashes=1
    )
    sources = [[1, 2, 3, 4, 5, 6, 7], [8, 3]]
    targets = model.generate(sources, 5, sampler="greedy")
    for source, target in zip(sources, targets, strict=True):
        for count in range(5):
            ids = np.array([[*target[:count], 0]])
            assert np.argmax(model({"source": np.array([source]), "target": ids})[0, -1]) == target[count]
    beams = model.generate(sources, 4, sampler="beam", num_beams=3)
    assert beams == [model.generate([source], 4, sampler="beam", num_beams=3)[0] for source in sources]


def test_fit_evaluate_and_files(tmp_path):
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    model = make(**layers, label_smoothing=0.1, dropout=0.1, share_embeddings=True, target_vocabulary_size=SOURCES)
    assert model.decoder.token_embedding is model.encoder.token_embedding
    pairs = {name: x.astype("int32") for name, x in data().items()}
    model.compile(keras.optimizers.Adam(0.01), weighted_metrics=["accuracy"], run_eagerly=True)
    history = model.fit(pairs, batch_size=2, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    losses, counted = model.token_losses(pairs).numpy(), pairs["target_mask"].astype(bool)
    found = model.evaluate(pairs, batch_size=3, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], losses[counted].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], model.token_scores(pairs)[1].numpy()[counted].mean(), rtol=1e-5)
    assert model.predict(pairs, verbose=0).shape == (3, 9, SOURCES)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.decoder.token_embedding is loaded.encoder.token_embedding
    np.testing.assert_array_equal(loaded(pairs), model(pairs))
    assert loaded.get_config() == model.get_config()


def test_reversible_stacks_have_the_gradients_of_plain_ones():
    pairs, results = data(), []
    for reversible in (True, False):
        model = make(**HASHED, dropout=0.2, reversible=reversible, positions="sinusoidal")
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.token_losses(pairs, training=True, seed=tf.constant([1, 2])))
        found = tape.gradient(loss, model.trainable_variables)
        results.append([tf.convert_to_tensor(gradient).numpy() for gradient in found])
    largest = max(np.abs(gradient).max() for gradient in results[1])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * largest)


@pytest.mark.slow
def test_replicas_train_as_one_device(mirrored_strategy):
    pairs = {name: np.concatenate([x, x[:1]]).astype("int32") for name, x in data().items()}
    histories = []
    for scope in (tf.distribute.get_strategy().scope(), mirrored_strategy.scope()):
        with scope:
            model = make(**HASHED, dropout=0.2)
            model.compile(keras.optimizers.SGD(0.1))
        histories.append(model.fit(pairs, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_dtype_policies(policy):
    model, low = make(), make(dtype=policy)
    pairs = data()
    losses = low.token_losses(pairs)
    assert losses.dtype == tf.float32 and low(pairs).dtype == tf.float32
    np.testing.assert_allclose(losses, model.token_losses(pairs), atol=0.1 * np.abs(model.token_losses(pairs)).max())


def test_adapters_train_alone():
    model = make()
    model.train_adapters(rank=2)
    assert all("lora" in v.name for v in model.trainable_variables) and model.trainable_variables
    assert any("cross_attention" in v.path for v in model.trainable_variables)


def test_one_side_may_have_options_of_its_own(caplog):
    model = make(
        **HASHED,
        num_hashes=3,
        attention_options={"lsh": {"num_buckets": 2}, "performer": {"num_features": 4}},
        encoder_options={"num_hashes": 1, "intermediate_dim": 12},
        cross_attention_options={"use_bias": True},
    )
    attention = model.encoder.get_layer("stack").branches[2].layer
    other = model.decoder.get_layer("stack").branches[0].layer
    assert (attention.num_hashes, other.num_hashes, other.num_buckets) == (1, 3, 2)
    assert model.decoder.get_layer("stack").branches[1].layer.use_bias
    seeds = [
        branch.layer.seed
        for part in (model.encoder, model.decoder)
        for branch in part.get_layer("stack").branches[::2]
        if hasattr(branch.layer, "seed")
    ]
    assert len(set(seeds)) == len(seeds)
    assert "no effect" not in caplog.text
    copy = ReformerSeq2Seq.from_config(model.get_config())
    assert copy.get_config() == model.get_config()


def test_shared_embeddings_keep_the_longest_of_each_side():
    model = make(share_embeddings=True, target_vocabulary_size=SOURCES, max_target_length=60, positions="sinusoidal")
    pairs = {"source": np.zeros((1, 40), "int32"), "target": np.zeros((1, 60), "int32")}
    assert np.isfinite(model.token_losses(pairs)).all()
    with pytest.raises(ValueError, match="source must be at most 40 ids long. Received: length=41"):
        model.token_losses({**pairs, "source": np.zeros((1, 41), "int32")})


def test_a_decoder_takes_the_context_of_any_encoder():
    decoder = ReformerDecoder(TARGETS, 24, 1, 16, 2, 4, 24, ["local"], "performer", context_dim=6)
    image, ids = keras.Input((None, 3)), keras.Input((None,), dtype="int32")
    model = keras.Model([image, ids], decoder(ids, context=keras.layers.Dense(6)(image)))
    assert model([np.ones((2, 5, 3)), np.zeros((2, 7), "int32")]).shape == (2, 7, 16)
    with pytest.raises(ValueError, match='inputs must be a dict of "ids" and "context"'):
        decoder(np.zeros((2, 7), "int32"))
    with pytest.raises(ValueError, match="context must be"):
        decoder(np.zeros((2, 7), "int32"), context=np.ones((2, 5, 7), "float32"))

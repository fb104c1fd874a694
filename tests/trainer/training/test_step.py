"""A step has the same result by several replicas, in parts, in a graph and by XLA."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf.models import ReformerCausalLM
from trainer.optimization import optimizer
from trainer.storage import named_variables
from trainer.tasks import LanguageModel
from trainer.training import gradients
from trainer.training.step import TrainStep

STEPS = 10
CLIP_NORM = 0.05


def _model(dropout=0.0, kind="lsh", **options):
    return ReformerCausalLM(
        vocabulary_size=257,
        max_sequence_length=48,
        num_layers=1,
        hidden_dim=16,
        num_heads=2,
        key_dim=8,
        intermediate_dim=32,
        attention_layers=[kind],
        chunk_length=8,
        num_hashes=1,
        dropout=dropout,
        attention_dropout=dropout,
        **options,
    )


def _batch(step, rows=4, length=40):
    """Makes rows of uneven lengths: the second half has far fewer targets than the first."""
    rng = np.random.default_rng(step)
    ids = rng.integers(0, 257, [rows, length + 1]).astype(np.int32)
    sizes = np.where(np.arange(rows) < rows // 2, length + 1, 9)
    return ids, np.arange(length + 1) < sizes[:, None]


class _SGD(optimizer.TakesReducedGradients, keras.optimizers.SGD):
    pass


class _Bigrams(keras.Model):
    """A table of logits by the previous token: the smallest language model."""

    def __init__(self):
        super().__init__()
        self.table = self.add_weight((257, 257), "zeros", name="table")

    def token_losses(self, ids, mask=None, training=False, seed=None):
        logits = tf.gather(tf.convert_to_tensor(self.table), ids[:, :-1])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits)
        return losses * tf.cast(mask[:, 1:], losses.dtype)

    def token_scores(self, ids, mask=None):
        likeliest = tf.argmax(tf.gather(tf.convert_to_tensor(self.table), ids[:, :-1]), axis=-1, output_type=tf.int32)
        return self.token_losses(ids, mask), (likeliest == ids[:, 1:]) & mask[:, 1:]


def _optimizer_config(**fields):
    return ConfigDict(
        {
            "name": "adam",
            "learning_rate": 1e-2,
            "schedule": "constant",
            "warmup_steps": 3,
            "final_fraction": 0.0,
            "weight_decay": 0.0,
            "weight_decay_exclusions": (),
            "ema_momentum": 0.0,
            "beta_1": 0.9,
            "beta_2": 0.98,
            "epsilon": 1e-6,
            "adam_ratio": 0.15,
            **fields,
        }
    )


def _train(strategy, config, make_model, steps=STEPS, **options):
    """Returns losses, gradient norms and final weights of a few steps."""
    keras.utils.set_random_seed(0)  # Initial weights are drawn from Keras' global seed.
    with strategy.scope():
        model = make_model()
        slots = optimizer.make_optimizer(config, steps, model.trainable_variables)
    step = TrainStep(model, slots, strategy, clip_norm=CLIP_NORM, **options)
    losses, norms = [], []
    data = tf.data.Dataset.from_tensor_slices([_batch(number)[0] for number in range(steps)])
    masks = tf.data.Dataset.from_tensor_slices([_batch(number)[1] for number in range(steps)])
    flat = tf.data.Dataset.zip(data, masks).unbatch().batch(4, drop_remainder=True)
    for number, (ids, mask) in enumerate(strategy.experimental_distribute_dataset(flat)):
        result = step((ids, mask), tf.constant([0, number]))
        assert bool(result.applied)
        losses.append(float(result.loss))
        norms.append(float(result.gradient_norm))
    return np.array(losses), np.array(norms), [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        pytest.param("adam", functools.partial(_model, kind="local", reversible=False), id="adam-local"),
        pytest.param("adafactor", _Bigrams, id="adafactor-bigrams"),
        pytest.param("muon", _Bigrams, id="muon-bigrams"),
        pytest.param("adam", _model, id="adam-lsh", marks=pytest.mark.slow),
        pytest.param("muon", _model, id="muon-lsh", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_equal_one_device(mirrored_strategy, name, model):
    config = _optimizer_config(name=name, weight_decay=0.1)
    losses, norms, weights = _train(tf.distribute.OneDeviceStrategy("CPU:0"), config, model)
    again = _train(mirrored_strategy, config, model)
    np.testing.assert_allclose(again[0], losses, rtol=1e-5)
    np.testing.assert_allclose(again[1], norms, rtol=1e-4)
    assert max(norms) > CLIP_NORM, "nothing was clipped"
    for weight, other in zip(weights, again[2], strict=True):
        np.testing.assert_allclose(other, weight, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(_Bigrams, id="bigrams"),
        pytest.param(_model, id="lsh", marks=pytest.mark.slow),
    ],
)
def test_xla_and_parts_on_two_replicas_equal_one_device(mirrored_strategy, model):
    config = _optimizer_config()
    losses, _, _ = _train(tf.distribute.OneDeviceStrategy("CPU:0"), config, model, steps=4)
    again, _, _ = _train(mirrored_strategy, config, model, steps=4, jit_compile=True, accumulation_steps=2)
    np.testing.assert_allclose(again, losses, rtol=1e-5)


def test_parts_give_the_gradient_of_the_batch_with_dropout():
    model = _model(dropout=0.3, kind="local", reversible=False)
    arguments = (tuple(map(tf.constant, _batch(0))), tf.constant([5, 7]), tf.constant(3), tf.constant(0.01))
    loss, sums, expected = gradients.LocalGradients(model, LanguageModel())(*arguments)
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in expected)
    again = tf.function(gradients.LocalGradients(model, LanguageModel(), parts=2), autograph=False)(*arguments)
    assert float(again[0]) == pytest.approx(float(loss), rel=1e-5)
    assert float(again[1]["byte_loss"]) == pytest.approx(float(sums["byte_loss"]), rel=1e-5)
    for gradient, other in zip(expected, again[2], strict=True):
        np.testing.assert_allclose(other, gradient, atol=1e-5 * largest)


@pytest.mark.parametrize("limit", [0.25, 2.0])
def test_the_clipped_gradient_is_the_reduced_one(mirrored_strategy, limit):
    """Clipping before the sum would clip each replica's part on its own and change the update."""
    with mirrored_strategy.scope():
        model = _Bigrams()
        slots = _SGD(learning_rate=1.0)
        slots.build(model.trainable_variables)
    ids, mask = _batch(0)
    with tf.GradientTape() as tape:
        plain = tf.Variable(np.zeros([257, 257], np.float32))
        logits = tf.gather(plain, ids[:, :-1])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits)
        loss = tf.reduce_sum(losses * mask[:, 1:]) / mask[:, 1:].sum()
    gradient = tf.convert_to_tensor(tape.gradient(loss, plain)).numpy()
    norm = np.linalg.norm(gradient)
    step = TrainStep(model, slots, mirrored_strategy, clip_norm=limit * float(norm))
    dataset = tf.data.Dataset.from_tensors((ids, mask)).unbatch().batch(4)
    distributed_ids, distributed_mask = next(iter(mirrored_strategy.experimental_distribute_dataset(dataset)))
    result = step((distributed_ids, distributed_mask), tf.constant([0, 0]))
    assert float(result.loss) == pytest.approx(float(loss), rel=1e-6)
    assert float(result.gradient_norm) == pytest.approx(norm, rel=1e-5)
    assert float(result.sums["tokens"]) == mask[:, 1:].sum()
    np.testing.assert_allclose(model.table.numpy(), -min(limit, 1.0) * gradient, atol=1e-7)


def test_bits_per_byte_counts_targets_that_are_bytes():
    model = _Bigrams()
    step = TrainStep(model, _built(_SGD(0.0), model), tf.distribute.get_strategy())
    ids = np.array([[256, 1, 2, 256, 3]], np.int32)
    result = step((ids, np.ones_like(ids, bool)), tf.constant([0, 0]))
    assert float(result.loss) == pytest.approx(np.log(257))
    sums = {name: float(value) for name, value in result.sums.items()}
    assert LanguageModel().metrics(sums) == {"bits_per_byte": pytest.approx(np.log2(257))}
    assert sums["tokens"] == 4


def _built(slots, model):
    slots.build(model.trainable_variables)
    return slots


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_step_that_is_not_finite_changes_nothing(mirrored_strategy, replicas):
    strategy = mirrored_strategy if replicas == 2 else tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        model = _Bigrams()
        slots = optimizer.make_optimizer(_optimizer_config(weight_decay=0.1), 10, model.trainable_variables)
    table = np.zeros([257, 257], np.float32)
    table[7, 7] = np.inf
    model.table.assign(table)
    before = named_variables.values(named_variables.named_variables(model, slots))
    step = TrainStep(model, slots, strategy, clip_norm=1.0)
    ids, mask = np.full([2, 5], 3, np.int32), np.ones([2, 5], bool)
    for bad in (True, False):
        ids[1] = 7 if bad else 3  # Only the second replica meets the infinity.
        dataset = tf.data.Dataset.from_tensors((ids, mask)).unbatch().batch(2)
        batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
        result = step(batch, tf.constant([0, 0]))
        assert bool(result.applied) is not bad
        after = named_variables.values(named_variables.named_variables(model, slots))
        same = [np.array_equal(before[name], after[name]) for name in before if "seed" not in name]
        assert all(same) if bad else not any(same)


def test_a_variable_without_a_gradient_is_an_error():
    model = _Bigrams()
    model.unused = model.add_weight((3,), name="unused")
    step = TrainStep(model, _built(_SGD(0.1), model), tf.distribute.get_strategy())
    with pytest.raises(ValueError, match="Every trainable variable must have a gradient. Received: none for .*unused"):
        step(_batch(0), tf.constant([0, 0]))


def test_weight_decay_leaves_biases_and_scales_unchanged():
    model = _model()
    slots = optimizer.make_optimizer(_optimizer_config(weight_decay=0.5), 10, model.trainable_variables)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    slots.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    rate = 0.5 * 1e-2 / 3  # Times the learning rate of the first update.
    for v in model.trainable_variables:
        factor = 1.0 if len(v.shape) < 2 else 1.0 - rate
        np.testing.assert_allclose(v.numpy(), before[v.path] * factor, rtol=1e-5, atol=1e-8, err_msg=v.path)

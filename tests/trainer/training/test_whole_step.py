"""The complete training step as one XLA program: its operations, and the same training as without compiling."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.testing import tiny_models, xla_ops
from trainer.config import default_config
from trainer.optimization import optimizer
from trainer.training.step import TrainStep

ROWS, LENGTH = 4, 48


def _model(*args, **options):
    keras.utils.set_random_seed(0)
    return tiny_models.every_kind(*args, **options)


def _make_step(model, name, compile_whole=True, accumulation_steps=1):
    """The step on one device, with weight decay, a moving average of the weights, and without warm-up."""
    config = default_config().optimizer
    config.name, config.schedule, config.warmup_steps = name, "cosine", 0
    config.weight_decay, config.ema_momentum = 0.01, 0.999
    slots = optimizer.make_optimizer(config, 1000, model.trainable_variables)
    options = {"accumulation_steps": accumulation_steps, "clip_norm": config.clip_norm, "compile_whole": compile_whole}
    return TrainStep(model, slots, tf.distribute.get_strategy(), **options)


def _batch(step):
    """The inputs of a step: random ids and a mask `[B, L + 1]`, the last row half as long as the others, and a seed."""
    ids = np.random.default_rng(step).integers(0, 256, (ROWS, LENGTH + 1), dtype=np.int32)
    mask = np.ones(ids.shape, bool)
    mask[-1, LENGTH // 2 + 1 :] = False
    return (tf.constant(ids), tf.constant(mask)), tf.constant([0, step])


def _losses(step, steps):
    """Losses and gradient norms of steps on the same batch, each with dropout of its own."""
    batch, _ = _batch(0)
    results = [step(batch, tf.constant([0, number])) for number in range(steps)]
    assert all(bool(result.applied) for result in results)
    return np.array([[float(result.loss), float(result.gradient_norm)] for result in results])


def _compare(name, steps, parts, rtol, **options):
    """Compares losses and gradient norms, compiled and not; returns the model and the step of the compiled run."""
    model = _model(**options)
    step = _make_step(model, name, accumulation_steps=parts)
    arguments = _batch(0)
    found = xla_ops.examine(step.__call__.get_concrete_function(*arguments))
    assert found.problems() == []
    assert not {"float64", "uint64"} & set(found.types)
    plain = _make_step(_model(**options), name, compile_whole=False, accumulation_steps=parts)
    compiled, expected = _losses(step, steps), _losses(plain, steps)
    np.testing.assert_allclose(compiled[:, 0], expected[:, 0], rtol=rtol)
    np.testing.assert_allclose(compiled[:, 1], expected[:, 1], rtol=20 * rtol)
    assert expected[-1, 0] < expected[0, 0], "nothing was learnt, so nothing was compared"
    return model, step


def test_the_compiled_step_trains_as_the_plain_one_and_leaves_off_what_is_not_finite():
    model, step = _compare("adam", steps=3, parts=1, rtol=1e-5, kinds=["local"], reversible=False)
    table = model.backbone.get_layer("token_embedding").embeddings
    table.assign(np.full(table.shape, np.inf))
    before = [variable.numpy() for variable in model.trainable_variables]
    assert not bool(step(*_batch(3)).applied)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype", "parts"),
    [
        ("adam", "float32", 2),
        ("adam", "mixed_bfloat16", 1),
        ("adafactor", "float32", 1),
        ("adafactor", "mixed_bfloat16", 2),
        ("muon", "float32", 2),
        ("muon", "mixed_bfloat16", 1),
    ],
)
def test_every_optimizer_and_precision(name, dtype, parts):
    # In bfloat16 the compiled program rounds less often.
    _compare(name, steps=4, parts=parts, rtol=1e-5 if dtype == "float32" else 5e-3, dtype=dtype)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"kinds": ["lsh"]},
        {"kinds": ["local"]},
        {"reversible": False},
        {"rotary": True, "gated": True},
        {"tie_embeddings": False},
    ],
)
def test_other_models(options):
    _compare("adam", steps=3, parts=1, rtol=1e-5, **options)


def test_several_replicas_are_refused(mirrored_strategy):
    with mirrored_strategy.scope():
        model = _model(kinds=["local"])
        slots = optimizer.make_optimizer(default_config().optimizer, 10, model.trainable_variables)
    with pytest.raises(ValueError, match="`compile_whole` must be False .* Received: 2 replicas of MirroredStrategy"):
        TrainStep(model, slots, mirrored_strategy, compile_whole=True)

"""What is `PerformerSelfAttention`'s alone: its arguments, its features over training, and whose weights fit it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import FullSelfAttention, PerformerSelfAttention
from reformer_tf.models import ReformerCausalLM
from tests.conformance import cases


def _layer(**changes):
    layer = PerformerSelfAttention(**{"num_heads": 2, "key_dim": 8, "num_features": 16, "seed": 5, **changes})
    layer.build([None, None, 12])
    cases.perturb(layer)
    return layer


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"features": "trigonometric"}, "features must be one of .*'softmax'.* Received: features='trigonometric'"),
        ({"num_features": 0}, "num_features must be .*positive.* Received: num_features=0"),
        ({"num_features": 7, "features": "hyperbolic"}, "num_features must be a multiple of 2 .* num_features=7"),
        ({"num_features": 8, "features": "elu"}, "num_features must be left out .*as many as key_dim"),
        ({"redraw_every": -1}, "redraw_every must be .*not negative.* redraw_every=-1"),
        ({"redraw_every": 5, "features": "elu"}, "redraw_every must be 0 with features='elu'"),
        ({"dropout": 0.1}, "dropout must be left out of PerformerSelfAttention, which forms no .*: drop outputs"),
        (
            {"shared_query_key": True},
            "shared_query_key must be left out of PerformerSelfAttention, which .*: FullSelfAttention has it",
        ),
    ],
)
def test_arguments_that_it_cannot_have_are_refused(arguments, error):
    with pytest.raises(ValueError, match=error):
        PerformerSelfAttention(2, 8, **arguments)


def test_numbers_of_features():
    assert PerformerSelfAttention(2, 8).num_features == 256
    assert PerformerSelfAttention(2, 8, dropout=0.0, features="elu").num_features is None
    rows = {
        features: [weight.shape for weight in _layer(features=features).non_trainable_weights]
        for features in ("softmax", "hyperbolic")
    }
    assert rows == {"softmax": [(16, 8)], "hyperbolic": [(8, 8)]}
    assert not _layer(features="elu", num_features=None).non_trainable_weights


def test_weights_of_exact_attention_fit_and_are_estimated():
    sizes = {"num_heads": 2, "key_dim": 8, "causal": True, "use_bias": True}
    exact, estimate = FullSelfAttention(**sizes), PerformerSelfAttention(**sizes, num_features=2048, seed=3)
    for layer in (exact, estimate):
        layer.build([None, None, 12])
    cases.perturb(exact)
    for variable, weight in zip(estimate.trainable_variables, exact.get_weights(), strict=True):
        variable.assign(weight)
    x = 0.5 * cases.inputs(2, 50)
    expected = exact(x)
    assert np.linalg.norm(estimate(x) - expected) < 0.1 * np.linalg.norm(expected)


def test_training_redraws_after_so_many_steps_and_inference_never():
    layer, x = _layer(redraw_every=3), cases.inputs(2, 20)
    train = lambda *seed: layer(x, training=True, seed=tf.constant(seed)).numpy()
    stored = layer(x).numpy()
    np.testing.assert_array_equal(train(7, 0), train(7, 2))
    for other in (train(7, 3), train(8, 0), stored):
        assert np.abs(train(7, 0) - other).max() > 1e-3
    np.testing.assert_array_equal(layer(x), stored)
    still = _layer()
    np.testing.assert_array_equal(still(x, training=True), still(x))


def _model(**options):
    performer = {"num_features": 8, **options.pop("performer", {})}
    return ReformerCausalLM(
        vocabulary_size=11,
        max_sequence_length=24,
        num_layers=2,
        hidden_dim=12,
        num_heads=2,
        key_dim=6,
        intermediate_dim=24,
        attention_layers=["performer"],
        attention_options={"performer": performer},
        seed=4,
        **options,
    )


IDS = np.random.default_rng(0).integers(0, 11, [8, 24]).astype("int32")


def _losses_of_steps(redraw_every, accumulated):
    """Losses of batches that are all equal, by a model whose weights do not move."""
    model = _model(performer={"redraw_every": redraw_every})
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=accumulated or None)
    model.compile(optimizer)
    return [model.train_on_batch(IDS[:2], return_dict=True)["loss"] for _ in range(8)]


def test_fit_counts_the_steps_of_the_optimizer():
    # Metrics are reset by each call, so each loss is of its batch alone.
    for accumulated, expected in ((0, [0, 0, 1, 1, 2, 2, 3, 3]), (2, [0, 0, 0, 0, 1, 1, 1, 1])):
        losses = _losses_of_steps(2, accumulated)
        numbers = [sorted(set(losses), key=losses.index).index(loss) for loss in losses]
        assert numbers == expected


@pytest.mark.parametrize("features", ["softmax", "softmax_regularized", "hyperbolic", "relu", "elu"])
@pytest.mark.parametrize("in_graph", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_of_a_reversible_stack_are_the_plain_ones_with_redrawn_rows(features, in_graph):
    performer = {"features": features, **({"num_features": None} if features == "elu" else {"redraw_every": 1})}
    found = []
    for reversible in (True, False):
        model = _model(performer=performer, dropout=0.2, reversible=reversible)
        cases.perturb(model)

        def gradients(model=model):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model.token_losses(IDS, training=True, seed=tf.constant([3, 5])))
            return loss, *map(tf.convert_to_tensor, tape.gradient(loss, [v.value for v in model.trainable_variables]))

        found.append((tf.function(gradients) if in_graph else gradients)())
    largest = max(np.abs(gradient).max() for gradient in found[1][1:])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * largest, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_features_and_sums_in_float32(policy):
    """Errors are those of rounding q, k and v: with queries and keys of any norm nothing overflows."""
    exact, half = _layer(causal=True, num_features=64), _layer(causal=True, num_features=64, dtype=policy)
    for scale in (1.0, 8.0):
        x = scale * cases.inputs(2, 200)
        expected = exact(x).numpy()
        difference = np.abs(half(x).numpy().astype("float32") - expected)
        assert np.isfinite(difference).all()
        if scale == 1.0:
            assert difference.max() < {"mixed_bfloat16": 0.1, "mixed_float16": 0.01}[policy] * np.abs(expected).max()


def test_generation_continues_as_the_whole_sequence_says():
    model = _model()
    cases.perturb(model)
    prompts = [IDS[0, :5].tolist(), IDS[1, :9].tolist()]
    for prompt, new in zip(prompts, model.generate(prompts, max_new_tokens=8, sampler="greedy"), strict=True):
        ids = list(prompt)
        for token in new:
            assert token == int(np.argmax(model(np.array([ids], "int32"))[0, -1]))
            ids.append(token)

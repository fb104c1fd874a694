"""Every attention kind under a MirroredStrategy over two logical CPUs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import cases


def _step(layer, x, upstream, buckets):
    """Output and gradients of a training call whose seed determines all dropout."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape, cases.replaying(buckets):
        tape.watch(x)
        y = layer(x, training=True, seed=tf.constant([3, 4]))
    return [y, *tape.gradient(y, [x, *layer.trainable_variables], output_gradients=upstream)]


@cases.each_direction(cases.DEFAULTS)
def test_mirrored_equals_one_device(case, mirrored_strategy):
    """Dropout included: its mask is a function of a row's index in the global batch."""
    with mirrored_strategy.scope():
        layer = cases.make_layer(case, dropout=0.2)
    x, upstream = cases.inputs(4, 65), cases.inputs(4, 65, seed=8)
    buckets = cases.call_and_buckets(layer, x)[1]
    y, dx, *gradients = _step(layer, x, upstream, buckets)

    def halves(whole):
        return mirrored_strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(np.split(whole, 2)[context.replica_id_in_sync_group])
        )

    arguments = [halves(x), halves(upstream)] + ([] if buckets is None else [halves(buckets)])

    @tf.function
    def run(*arguments):
        def replica(x, upstream, buckets=None):
            y, dx, *gradients = _step(layer, x, upstream, buckets)
            return y, dx, tf.distribute.get_replica_context().all_reduce("sum", gradients)

        return mirrored_strategy.run(replica, args=arguments)

    each_y, each_dx, sums = run(*arguments)
    for actual, expected in ((each_y, y), (each_dx, dx)):
        actual = np.concatenate([part.numpy() for part in mirrored_strategy.experimental_local_results(actual)])
        np.testing.assert_allclose(actual, expected, atol=1e-5 * max(1.0, np.max(np.abs(expected))))
    for actual, expected in zip(sums, gradients, strict=True):
        actual = mirrored_strategy.experimental_local_results(actual)[0]
        np.testing.assert_allclose(actual, expected, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case.setting == "default" else pytest.mark.slow, id=case.name)
        for case in cases.ONE_DIRECTION
    ],
)
def test_fit_under_a_strategy(case, mirrored_strategy):
    with mirrored_strategy.scope():
        x = keras.Input([None, cases.WIDTH])
        model = keras.Model(x, keras.layers.Dense(1)(cases.make_layer(case, width=None, dropout=0.1)(x)))
        model.compile("sgd", "mse", jit_compile=False)
    history = model.fit(cases.inputs(8, 20), np.zeros([8, 20, 1]), batch_size=4, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]

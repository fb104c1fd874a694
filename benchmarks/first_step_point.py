"""CPU time of a small classifier with one kind of attention, for `benchmarks.first_step`."""

import resource
import statistics
from collections.abc import Callable

KINDS = ("multi_head", "lsh", "local", "full")
_WIDTH, _HEADS, _HEAD_SIZE, _CLASSES = 48, 4, 16, 2


def cpu_seconds() -> float:
    """The CPU time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _seconds(call: Callable[[], object]) -> float:
    began = cpu_seconds()
    call()
    return cpu_seconds() - began


def measure(kind: str, length: int, batch: int, eager_length: int, steps: int) -> dict[str, float]:
    """Measures one kind of attention in this process, which should be fresh.

    Args:
        kind: one of `KINDS`.
        length: tokens of a sequence.
        batch: rows of a batch.
        eager_length: tokens of the one row of an eager call.
        steps: steps after the first, and eager calls after the first.
    """
    # Imported in the process that measures: TensorFlow cannot be used in a fork of a process that used it.
    import keras
    import numpy as np

    from reformer_tf.layers import FullSelfAttention, LocalSelfAttention, LSHSelfAttention

    def attention() -> Callable:
        if kind == "lsh":
            return LSHSelfAttention(_HEADS, _HEAD_SIZE, chunk_length=32, num_hashes=4)
        if kind == "local":
            return LocalSelfAttention(_HEADS, _HEAD_SIZE, chunk_length=32)
        if kind == "full":
            return FullSelfAttention(_HEADS, _HEAD_SIZE)
        layer = keras.layers.MultiHeadAttention(_HEADS, _HEAD_SIZE)
        return lambda x: layer(x, x)

    keras.utils.set_random_seed(0)
    inputs = keras.Input((length, _WIDTH))
    x = inputs
    for _ in range(2):
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, attention()(x)]))
        wide = keras.layers.Dense(2 * _WIDTH, activation="gelu")(x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, keras.layers.Dense(_WIDTH)(wide)]))
    x = keras.layers.Dense(_CLASSES, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, x)
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(batch, length, _WIDTH)).astype("float32")
    labels = rng.integers(0, _CLASSES, batch)
    first = _seconds(lambda: model.fit(rows, labels, batch_size=batch, verbose=0))
    later = [_seconds(lambda: model.train_on_batch(rows, labels)) for _ in range(steps + 1)][1:]
    layer, row = attention(), keras.ops.convert_to_tensor(rng.normal(size=(1, eager_length, _WIDTH)).astype("float32"))
    eager = [_seconds(lambda: layer(row)) for _ in range(steps + 1)]
    return {
        "first_step": first,
        "step": statistics.median(later),
        "first_eager_call": eager[0],
        "eager_call": statistics.median(eager[1:]),
    }

"""The gradient of a reversible residual stack: one custom gradient over the whole of it.

A custom gradient for each block would keep every block's output alive; this one keeps the last pair of streams, and the
integer buckets of hashing layers. Going back it rebuilds one branch's input at a time.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from reformer_tf.ops import chunking, replay

# A pure function of (x, weights, seed): equal arguments, and equal replayed buckets, give equal results.
Branch = Callable[[tf.Tensor, Sequence[tf.Tensor], tf.Tensor | None], tf.Tensor]


def reversible_residual(
    x1: tf.Tensor,
    x2: tf.Tensor,
    branches: Sequence[Branch],
    weights: Sequence[Sequence[tf.Tensor]],
    seed: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block after block, keeping only the last pair for the gradient.

    Args:
        x1: first stream.
        x2: second stream, of the same shape and dtype.
        branches: F and G of each block in turn, an even number of pure functions.
        weights: the values of the trainable weights of each branch.
        seed: int32 seed handed to every branch, or None.

    Returns:
        The two streams after the last block.

    Raises:
        NotImplementedError: when a gradient of the gradient is asked for.
        ValueError: when a branch's output does not depend on one of its weights.
    """
    counts = [len(w) for w in weights]

    @tf.custom_gradient
    def run(x1: tf.Tensor, x2: tf.Tensor, *values: tf.Tensor) -> tuple:
        # In eager mode the outer tape would record, and keep, everything inside otherwise.
        streams = [tf.stop_gradient(x1), tf.stop_gradient(x2)]
        values = tuple(tf.stop_gradient(v) for v in values)
        kept: list[list[tf.Tensor]] = []
        for index, (branch, own) in enumerate(zip(branches, _split(values, counts), strict=True)):
            with replay.recording() as buckets:
                update = branch(streams[1 - index % 2], own, seed)
            streams[index % 2] += tf.cast(update, x1.dtype)
            kept.append(buckets)

        def gradient(*slopes: tf.Tensor) -> tuple:
            return _backward(branches, counts, kept, seed, *streams, *slopes, *values)

        return tuple(streams), gradient

    return run(x1, x2, *(v for own in weights for v in own))


def _backward(
    branches: Sequence[Branch],
    counts: Sequence[int],
    kept: Sequence[Sequence[tf.Tensor]],
    seed: tf.Tensor | None,
    *tensors: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Gradients of x1, x2 and all weights from (y1, y2, dy1, dy2, *values)."""

    @tf.custom_gradient
    def run(y1: tf.Tensor, y2: tf.Tensor, dy1: tf.Tensor, dy2: tf.Tensor, *values: tf.Tensor) -> tuple:
        streams, slopes = [y1, y2], [dy1, dy2]
        split = _split(values, counts)
        weight_slopes: list[list[tf.Tensor]] = [[] for _ in branches]
        finished: list[tf.Tensor] = []
        for index in reversed(range(len(branches))):
            target, source = index % 2, 1 - index % 2
            # Rebuilding needs no incoming gradient, so a graph's executor might do it early for all layers, or put off
            # the weights' gradients, and keep everything alive: the dependencies let one branch start when the one
            # after it is done. The identities keep what is rebuilt from being merged with the forward pass.
            with tf.control_dependencies([*slopes, *finished]):
                inputs = tf.identity(streams[source])
                replayed_seed = None if seed is None else tf.identity(seed)
                buckets = [tf.identity(b) for b in kept[index]]
            with tf.GradientTape() as tape, replay.replaying(buckets), chunking.known_gradient(slopes[target]):
                tape.watch([inputs, *split[index]])
                update = branches[index](inputs, split[index], replayed_seed)
            upstream = tf.cast(slopes[target], update.dtype)
            slope, *own = tape.gradient(update, [inputs, *split[index]], output_gradients=upstream)
            for position, weight_slope in enumerate(own):
                if weight_slope is None:
                    raise ValueError(
                        "Every trainable weight of a branch must enter its output (freeze it otherwise)."
                        f" Received: branch {index}, whose weight {position} does not"
                    )
            weight_slopes[index] = finished = own
            streams[target] -= tf.cast(update, streams[target].dtype)
            if slope is not None:
                slopes[source] += tf.cast(slope, slopes[source].dtype)

        def second(*_: tf.Tensor) -> tuple:
            raise NotImplementedError(
                "Second-order gradients through a reversible stack are not supported; set reversible=False."
            )

        return (*slopes, *(s for own in weight_slopes for s in own)), second

    return run(*tensors)


def _split(values: Sequence[tf.Tensor], counts: Sequence[int]) -> list[list[tf.Tensor]]:
    remaining = iter(values)
    return [[next(remaining) for _ in range(count)] for count in counts]

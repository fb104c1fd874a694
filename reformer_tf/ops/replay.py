"""Records the buckets of one pass, so that another pass over the same tokens uses them instead of hashing again.

Rounding can move a vector near a hash boundary into another bucket. A reversible stack therefore records the buckets of
its forward pass (they are small and integer) and replays them when it recomputes a layer; tests and comparisons with
other implementations inject buckets in the same way:

    >>> from reformer_tf.layers import LSHSelfAttention
    >>> from reformer_tf.ops import replay
    >>> layer, x = LSHSelfAttention(num_heads=2, key_dim=8, redraw_rotations=True), np.ones((1, 200, 16))
    >>> with replay.recording() as buckets:
    ...     y = layer(x, training=True)
    >>> with replay.replaying(buckets):
    ...     z = layer(x, training=True)  # the same buckets, in call order
    >>> np.allclose(y, z, atol=1e-5)
    True
"""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from reformer_tf.ops.execution import scopes


@contextlib.contextmanager
def recording() -> Iterator[list[tf.Tensor]]:
    """Yields a list that receives the buckets, int32 `[B, H, R, L]`, of each hashing layer called inside."""
    recorded: list[tf.Tensor] = []
    with scopes.holding(scopes.records, (*scopes.records.get(), recorded)):
        yield recorded


@contextlib.contextmanager
def replaying(buckets: Sequence[tf.Tensor]) -> Iterator[None]:
    """Makes each hashing layer called inside take the next entry of `buckets` as its buckets.

    Args:
        buckets: int32 tensors or arrays `[B, H, R, L]`, one for each call of a hashing layer, in call order.

    Raises:
        ValueError: if the calls inside use more or fewer entries than there are.
    """
    remaining = list(buckets)
    with scopes.holding(scopes.replayed, remaining):
        yield
    if remaining:
        raise ValueError(
            "buckets must have one entry for each call of a hashing layer."
            f" Received: {len(buckets)} entries, of which {len(remaining)} were not used"
        )


def take() -> tf.Tensor | None:
    """The next replayed buckets inside `replaying`, else None."""
    remaining = scopes.replayed.get()
    if remaining is None:
        return None
    if not remaining:
        raise ValueError(
            "buckets must have one entry for each call of a hashing layer. Received: fewer entries than calls"
        )
    return tf.cast(remaining.pop(0), tf.int32)


def record(buckets: tf.Tensor) -> None:
    """Records the buckets of a call of a hashing layer, inside `recording`."""
    for recorded in scopes.records.get():
        recorded.append(buckets)

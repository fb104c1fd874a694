"""The budgets of work: how much is computed at a time, and from which amount of work on another way is faster.

They change speed and memory, not what is computed. All were measured on CPU; accelerators have the same ones until they
are measured there.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf


class Budgets(NamedTuple):
    """The budgets on one kind of device.

    Attributes:
        group_bytes: of float32 logits in a group of blocks of windowed attention. Groups that fit the cache are
            fastest; in much smaller ones the fixed cost of operations dominates.
        ungrouped_bytes: of float32 logits up to which all blocks are one group.
        compiled_group_bytes: of float32 logits in a group that XLA compiles, whose few operations have a small fixed
            cost.
        all_pairs_bytes: of float32 logits that attention to all pairs may hold at a time.
        all_pairs_percent: up to how many tokens for each 100 keys in the windows of all rounds all pairs are cheaper
            than windows, without the following; measured eagerly, in graphs and in XLA.
        all_pairs_percent_a_round: the same for each round, because windows compare a pair with all rounds before.
        projection_bytes: of one round's projections that hashing may hold at a time.
        longest_counted: tokens up to which ranks are counted; longer sequences are sorted, because the time of counting
            grows with the square of the length.
        counted_together: tokens that are compared with all others before the results are summed.
        chunk_bytes: of the widest float32 tensor of a chunk of rows, if a caller names no chunk length.
        least_slice_tokens: of the slices of the residual streams, however small a chunk is.
        slice_sizes: how many sizes slices may have, where the length is known only when the graph runs. A function is
            compiled for each size.
        free_slice_sizes: how many of these steps are not rounded up, because nothing is compiled for so few tokens.
        heads_bytes: of the float32 queries of a group of heads, if it has more than one. All tensors that are alive
            besides the streams take some six to ten times as much.
        least_compiled_work: pairs or numbers in a call from which on compiling a function pays: it takes about a second
            for each shape, and less work about a millisecond, compiled or not.
        background_bytes: of arguments and results of a function up to which it is compiled in the background, by a run
            on zeros; these must be small beside the memory of training.
    """

    group_bytes: int = 4 * 2**20
    ungrouped_bytes: int = 20 * 2**20
    compiled_group_bytes: int = 2**20
    all_pairs_bytes: int = 16 * 2**20
    all_pairs_percent: int = 150
    all_pairs_percent_a_round: int = 15
    projection_bytes: int = 16 * 2**20
    longest_counted: int = 1024
    counted_together: int = 8
    chunk_bytes: int = 16 * 2**20
    least_slice_tokens: int = 1024
    slice_sizes: int = 32
    free_slice_sizes: int = 8
    heads_bytes: int = 64 * 2**20
    least_compiled_work: int = 2**19
    background_bytes: int = 64 * 2**20


# Those of accelerators are not measured yet.
_BY_DEVICE = {"CPU": Budgets(), "GPU": Budgets(), "TPU": Budgets()}

_overridden: list[dict[str, Any]] = []
_lock = threading.Lock()


def device_kind() -> str:
    """The kind of device that computes: an accelerator's, such as `"GPU"`, if this process has one, else `"CPU"`."""
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    return min(kinds - {"CPU"}, default="CPU")


def current() -> Budgets:
    """The budgets on the kind of device that computes."""
    budgets = _BY_DEVICE.get(device_kind(), Budgets())
    for changes in list(_overridden):
        budgets = budgets._replace(**changes)
    return budgets


@contextlib.contextmanager
def override(**changes: int) -> Iterator[None]:
    """Changes some budgets inside, for tests and measurements; also a decorator.

    It holds in all threads: a distribution strategy traces each replica in a thread of its own.

        >>> from reformer_tf.ops.execution import budgets
        >>> with budgets.override(group_bytes=2**10):
        ...     budgets.current().group_bytes
        1024

    Args:
        **changes: attributes of `Budgets`.

    Raises:
        ValueError: for a name that is no budget.
    """
    if unknown := [name for name in changes if name not in Budgets._fields]:
        raise ValueError(f"changes must be among {', '.join(Budgets._fields)}. Received: {', '.join(unknown)}")
    with _lock:
        _overridden.append(changes)
    try:
        yield
    finally:
        with _lock:  # Another thread may have added its own since.
            del _overridden[next(index for index, entry in enumerate(_overridden) if entry is changes)]

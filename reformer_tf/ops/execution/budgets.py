"""The budgets of work: how much is computed at a time, and from which amount of work on another way is faster.

They change speed and memory, not what is computed. Those of a CPU keep work in its caches, and were measured there. An
accelerator has no such caches and pays for each kernel that it starts: there is no loop as long as memory lasts, and
loops of few large steps after that, so its budgets follow from its memory.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from reformer_tf.ops.execution import devices

# The memory of an accelerator that does not say how much it has: that of a TPU v5e chip or a core of a v3.
DEFAULT_MEMORY_BYTES = 16 * 2**30


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
        scanned_bytes: of the weights of a stack up to which a compiled program has a loop over equal blocks. It copies
            their weights and gradients into arrays; without it the program grows with depth.
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
    scanned_bytes: int = 2**62
    background_bytes: int = 64 * 2**20


def of_accelerator(kind: str, memory_bytes: int) -> Budgets:
    """The budgets on an accelerator.

    Args:
        kind: of the device, as TensorFlow calls it.
        memory_bytes: of the device.
    """
    # Some ten tensors of this size are alive at a time, and memory must be left to weights and streams. A TPU pads rows
    # of heads to 128 numbers, often twice as many.
    tensor = memory_bytes // 64
    group = tensor // 2 if kind == "TPU" else tensor
    return Budgets(
        group_bytes=group,
        ungrouped_bytes=group,
        compiled_group_bytes=group,
        all_pairs_bytes=group,
        projection_bytes=tensor,
        chunk_bytes=tensor,
        heads_bytes=tensor,
        # A GPU's compiler takes some five seconds for each layer, a TPU's a minute: there copies may be cheaper.
        scanned_bytes=0 if kind == "GPU" else tensor,
    )


class Target(NamedTuple):
    """A device that programs are made for.

    Attributes:
        kind: `"CPU"`, `"GPU"`, `"TPU"` or another kind that TensorFlow knows.
        memory_bytes: of an accelerator.
    """

    kind: str
    memory_bytes: int


class _Scope(NamedTuple):
    """What a `with` block changes: the target, unless it is None, and some budgets."""

    target: Target | None
    changes: dict[str, Any]


_scopes: list[_Scope] = []
_lock = threading.Lock()


def current_target() -> Target:
    """The device that computes: that of the innermost `target` around, else this process's."""
    for scope in reversed(list(_scopes)):
        if scope.target is not None:
            return scope.target
    kind = devices.kind()
    memory = None if kind == devices.CPU else devices.memory_bytes(kind)
    return Target(kind, DEFAULT_MEMORY_BYTES if memory is None else memory)


def device_kind() -> str:
    """The kind of device that computes: an accelerator's, such as `"GPU"`, if this process has one, else `"CPU"`."""
    return current_target().kind


def on_accelerator() -> bool:
    """Whether the device that computes is not a CPU."""
    return device_kind() != devices.CPU


def current() -> Budgets:
    """The budgets on the device that computes."""
    kind, memory_bytes = current_target()
    budgets = Budgets() if kind == devices.CPU else of_accelerator(kind, memory_bytes)
    for scope in list(_scopes):
        budgets = budgets._replace(**scope.changes)
    return budgets


def target(kind: str, memory_bytes: int | None = None) -> contextlib.AbstractContextManager[None]:
    """Says for which device functions inside are traced, where it is not the one of this process; also a decorator.

    Programs that are compiled ahead of time need it, and SavedModels that another machine runs. It holds in all
    threads, and for gradients of what is computed inside.

        >>> from reformer_tf.ops.execution import budgets
        >>> with budgets.target("GPU", memory_bytes=80 * 2**30):
        ...     budgets.device_kind(), budgets.current().chunk_bytes // 2**20
        ('GPU', 1280)

    Args:
        kind: `"CPU"`, `"GPU"` or `"TPU"`, or the name of another kind of device that TensorFlow has.
        memory_bytes: of one such device; if None, that of this process's device of the kind, or 16 GiB if it has none
            or the device does not say.

    Raises:
        ValueError: for a kind that is no name in capitals, or memory that is not positive.
    """
    if not (isinstance(kind, str) and kind and kind == kind.upper()):
        raise ValueError(f'kind must be a name of a device in capitals, such as "GPU". Received: kind={kind!r}')
    if memory_bytes is None:
        memory_bytes = devices.memory_bytes(kind) or DEFAULT_MEMORY_BYTES
    if isinstance(memory_bytes, bool) or not isinstance(memory_bytes, int) or memory_bytes < 1:
        raise ValueError(f"memory_bytes must be a positive integer. Received: memory_bytes={memory_bytes!r}")
    return _holding(_Scope(Target(kind, memory_bytes), {}))


def override(**changes: int) -> contextlib.AbstractContextManager[None]:
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
    return _holding(_Scope(None, changes))


def saved() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Saves target and budgets of the forward pass for a gradient, which TensorFlow may compute after the block.

    Returns:
        A function that makes a scope in which they hold again.
    """
    scope = _Scope(current_target(), current()._asdict())
    return lambda: _holding(scope)


@contextlib.contextmanager
def _holding(scope: _Scope) -> Iterator[None]:
    with _lock:
        _scopes.append(scope)
    try:
        yield
    finally:
        with _lock:  # Another thread may have added its own since.
            del _scopes[next(index for index, entry in enumerate(_scopes) if entry is scope)]

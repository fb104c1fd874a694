"""The budgets of work in force, and the device that they are for: this process's, or that of a scope around.

A scope holds in all threads, because a distribution strategy traces each replica in a thread of its own; and for
gradients, which TensorFlow computes later: `saved` keeps what is in force for them.
"""

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from reformer_tf.ops.execution import devices
from reformer_tf.ops.execution.device_budgets import CPU, DEFAULT_MEMORY_BYTES, Budgets, of_device


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
    memory = None if kind == CPU else devices.memory_bytes(kind)
    return Target(kind, DEFAULT_MEMORY_BYTES if memory is None else memory)


def device_kind() -> str:
    """The kind of device that computes: an accelerator's, such as `"GPU"`, if this process has one, else `"CPU"`."""
    return current_target().kind


def on_accelerator() -> bool:
    """Whether the device that computes is not a CPU."""
    return device_kind() != CPU


def current() -> Budgets:
    """The budgets on the device that computes."""
    budgets = of_device(*current_target())
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
        memory_bytes: of one such device; if None, that of this process's device of the kind, or 16 GiB if TensorFlow
            has initialized none or the device does not say.

    Raises:
        ValueError: for a kind that is no name in capitals, or memory that is not positive.
    """
    if not (isinstance(kind, str) and kind and kind == kind.upper()):
        raise ValueError(f'kind must be a name of a device in capitals, such as "GPU". Received: kind={kind!r}')
    if memory_bytes is None:
        memory_bytes = devices.memory_bytes(kind) or DEFAULT_MEMORY_BYTES
    return _holding(_Scope(Target(kind, _positive(memory_bytes)), {}))


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


def _positive(memory_bytes: Any) -> int:
    try:
        size = 0 if isinstance(memory_bytes, bool) else operator.index(memory_bytes)
    except TypeError:
        size = 0
    if size < 1:
        raise ValueError(f"memory_bytes must be a positive integer. Received: memory_bytes={memory_bytes!r}")
    return size


@contextlib.contextmanager
def _holding(scope: _Scope) -> Iterator[None]:
    with _lock:
        _scopes.append(scope)
    try:
        yield
    finally:
        with _lock:  # Another thread may have added its own since.
            del _scopes[next(index for index, entry in enumerate(_scopes) if entry is scope)]

"""Small pure functions compiled with XLA inside a graph that is not compiled as a whole.

On CPU a chain of elementwise operations is then one pass over memory in place of many. Functions are compiled only in
training (a caller says so by `compiling_functions`): an exported model must run where XLA is not linked in, and on any
length. A function is made from a hashable description, so that all layers of a model share one compiled program; it is
compiled again for each shape of its arguments, and callers have few shapes.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from reformer_tf.ops.execution import background_compilation, budgets, scopes


def compiling_functions(allowed: bool) -> contextlib.AbstractContextManager[None]:
    """Allows or forbids the calls inside to compile their inner functions.

    Layers pass whether they train. Functions for the gradient are made together with those of the forward pass, so the
    scope holds for them too.
    """
    return scopes.holding(scopes.compiling, allowed)


def compiled_as_a_whole() -> contextlib.AbstractContextManager[None]:
    """Declares that the graph traced inside is compiled as one program, for any device.

    No part of it is compiled by itself then, so that the graph is the same on CPU as on an accelerator.
    """
    return scopes.holding(scopes.as_a_whole, True)


def allowed() -> bool:
    """Whether the scope around allows compiling."""
    return scopes.compiling.get()


def possible() -> bool:
    """Whether functions made here may be compiled: in training, without an accelerator, in a graph that is not."""
    wanted = scopes.compiling.get() and not scopes.as_a_whole.get()
    return wanted and not tf.executing_eagerly() and budgets.device_kind() == "CPU"


def worth_compiling(work: Any) -> Any:
    """Whether it pays to compile a function for some work.

    Args:
        work: the number of attention pairs, or of elements of an elementwise function, in a call; an int or a scalar
            tensor.

    Returns:
        A boolean, or a boolean tensor if `work` is a tensor and compiling is `possible` at all.
    """
    return possible() and work >= budgets.current().least_compiled_work


def compiled(
    make: Callable[..., Callable], *description: Any, pays: Any = True, instead: Callable | None = None
) -> Callable:
    """Returns `make(*description)`, compiled where that is `possible` and pays.

    Args:
        make: a module-level function that makes a pure function of tensors. The pure function takes all tensors it uses
            as arguments. It is called inside a custom gradient, so it is never differentiated itself.
        description: hashable arguments of `make`. If one of them is a tensor (a size not known yet), nothing is
            compiled.
        pays: whether the work is large enough, see `worth_compiling`. If it is a tensor, the graph holds both forms.
        instead: the function that is called where nothing is compiled; `make(*description)` if None.

    Returns:
        A function with the arguments of the function that `make` returns.
    """
    plain = make(*description) if instead is None else instead
    if pays is False or not possible() or _has_tensor(description):
        return plain
    program = _compiled_function(make, _Typed(description))
    if pays is True:
        return program
    return lambda *args: tf.cond(pays, lambda: program(*args), lambda: plain(*args))


class _Typed:
    """A description that equals another only if all parts have the same types: `(1, 2)` may be two different tuples."""

    def __init__(self, description: tuple):
        self.description = description
        self._key = _with_types(description)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Typed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _with_types(part: Any) -> Any:
    return (type(part), tuple(map(_with_types, part)) if isinstance(part, tuple) else part)


def _has_tensor(part: Any) -> bool:
    return any(map(_has_tensor, part)) if isinstance(part, tuple) else tf.is_tensor(part)


@functools.lru_cache(maxsize=256)
def _compiled_function(make: Callable[..., Callable], typed: _Typed) -> Callable:
    function = tf.function(make(*typed.description), jit_compile=True, autograph=False)
    return functools.partial(background_compilation.call, function)

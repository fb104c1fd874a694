"""Compiles functions in the background while the graph that calls them is still being traced.

Tracing keeps one core busy with Python, compiling with XLA runs outside Python, and the first step needs both.
TensorFlow compiles a function when it is first run, and caches the program under the function's name. So a function is
run on zeros as soon as it is traced; the first real run finds the program, or waits for it.
"""

import atexit
import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from reformer_tf.ops.execution import budgets, loops


def call(function: Any, *args: Any) -> Any:
    """Calls a function while a graph is traced, and begins to compile it if it is traced for known shapes.

    Args:
        function: a `tf.function` with `jit_compile=True`.
        args: tensors, None, and nests of these.

    Returns:
        The results.
    """
    results = function(*args)
    if not _is_run_here():
        return results
    # If it was traced for unknown shapes before, that is used for known ones too.
    traced = function.get_concrete_function(*args)
    specs = [tf.TensorSpec.from_tensor(x) for x in (*traced.inputs, *traced.outputs)]
    known = all(spec.shape.is_fully_defined() for spec in specs)
    # Larger functions are compiled when they are first run.
    if known and sum(map(_bytes, specs)) <= budgets.current().background_bytes:
        _background.start(traced)
    return results


def _is_run_here() -> bool:
    """Whether this process will run the graph that is traced, on one device, with the function as its own program."""
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.ParameterServerStrategy) or strategy.num_replicas_in_sync > 1:
        return False  # Each device has its own programs.
    return tf.compat.v1.executing_eagerly_outside_functions() and not loops.in_xla()


def _bytes(spec: tf.TensorSpec) -> int:
    return math.prod(spec.shape) * spec.dtype.size


def wait() -> None:
    """Waits until all functions that were started are compiled."""
    _background.wait()


def _run_on_zeros(function: Any) -> None:
    results = function(*(tf.zeros(x.shape, x.dtype) for x in function.inputs))
    with tf.control_dependencies(tf.nest.flatten(results)):
        tf.raw_ops.Assert(condition=True, data=[True])  # A graph without results or effects is not run.


class _Background:
    """Threads that run each function once; started with the first function, joined before the interpreter ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._waiting: queue.Queue[Callable[[], Any] | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._ends = False

    def start(self, function: Any) -> None:
        """Runs a concrete function on zeros."""
        with self._lock:
            if function.name in self._begun:
                return
            self._begun.add(function.name)
            if not self._threads:
                self._begin()
        # Inside another graph: run directly, the function would be compiled under another name. That graph has no
        # inputs and no outputs: each would raise the number that TensorFlow puts into the names of later functions.
        # The names, by which TensorFlow finds programs on disk, would then depend on how far the background has got.
        with tf.init_scope():
            run = tf.function(lambda: _run_on_zeros(function), autograph=False).get_concrete_function()
        self._waiting.put(run)

    def wait(self) -> None:
        """Waits until no function is queued or running."""
        self._waiting.join()

    def _begin(self) -> None:
        count = min(max((os.cpu_count() or 1) - 1, 1), 4)
        # Daemon threads, so that the interpreter can end while functions are queued. It waits only for those that are
        # running: a thread must not return from TensorFlow to an interpreter that is gone.
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name="background_compilation") for _ in range(count)
        ]
        atexit.register(self._end)
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None and not self._ends:
            # A function that fails here fails again when it is needed, and the error is reported there.
            with contextlib.suppress(Exception):
                run()
            self._waiting.task_done()

    def _end(self) -> None:
        self._ends = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()


_background = _Background()

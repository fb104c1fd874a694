"""Compiles functions in the background while the graph that calls them is still being traced.

Tracing is Python's work on one core, XLA's compiling is not Python's, and the first step needs both. TensorFlow
compiles a function when it is first run, and keeps the program under the function's name. So a function is run on zeros
as soon as it is traced; whoever runs it first in earnest finds the program, or waits for it.
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

from reformer_tf.ops.execution import loops

# Zeros and results of a run must be small beside what training takes; larger functions are compiled when they are run.
MOST_BYTES = 64 * 2**20


def call(function: Any, *args: Any) -> Any:
    """Calls a function while a graph is traced, and begins to compile it if the shapes of its arguments are known.

    Args:
        function: a `tf.function` with `jit_compile=True`.
        args: tensors, None, and nests of these.

    Returns:
        The results.
    """
    results = function(*args)
    if not _is_run_here():
        return results
    specs = [tf.TensorSpec.from_tensor(x) for x in tf.nest.flatten([args, results]) if x is not None]
    if all(spec.shape.is_fully_defined() for spec in specs) and sum(map(_bytes, specs)) <= MOST_BYTES:
        _background.start(function.get_concrete_function(*args))
    return results


def _is_run_here() -> bool:
    """Whether this process will run what is traced, on one device, and the function as a program of its own."""
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.ParameterServerStrategy) or strategy.num_replicas_in_sync > 1:
        return False  # Each device has its own programs.
    return tf.compat.v1.executing_eagerly_outside_functions() and not loops.in_xla()


def _bytes(spec: tf.TensorSpec) -> int:
    return math.prod(spec.shape) * spec.dtype.size


def wait() -> None:
    """Returns when everything that was begun is compiled."""
    _background.wait()


def _run_on_zeros(function: Any) -> None:
    results = function(*(tf.zeros(x.shape, x.dtype) for x in function.inputs))
    with tf.control_dependencies(tf.nest.flatten(results)):
        tf.raw_ops.Assert(condition=True, data=[True])  # What has no result and no effect would not be run.


class _Background:
    """Threads that run functions, each once; begun with the first function, ended before the interpreter ends."""

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
        # Inside another graph: on its own it would be compiled under another name. That graph takes and gives no
        # tensors: each would raise the number that TensorFlow puts into the names of later functions, so that names, by
        # which it finds programs that it has written to disk, would depend on how far the background has got.
        with tf.init_scope():
            run = tf.function(lambda: _run_on_zeros(function), autograph=False).get_concrete_function()
        self._waiting.put(run)

    def wait(self) -> None:
        """Returns when nothing is waiting and nothing is run."""
        self._waiting.join()

    def _begin(self) -> None:
        count = min(max((os.cpu_count() or 1) - 1, 1), 4)
        # Daemons, which an end of the interpreter in the middle of a trace need not wait for, but for what they are at:
        # a thread must not come back from TensorFlow to an interpreter that is gone.
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name="background_compilation") for _ in range(count)
        ]
        atexit.register(self._end)
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None and not self._ends:
            # What fails here fails again where it is needed, and is reported there.
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

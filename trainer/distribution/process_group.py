"""The processes of a run that compute each step together: broadcasts from the chief, and barriers.

Only the chief reads and writes the files of the run, which the others need not see: they get its state and its
decisions. All processes must take the same decisions, because a collective operation that one of them skips hangs.
"""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.distribution import cluster, dispatch


class ProcessGroup:
    """The processes that run the same program step by step.

    With a single process (also the chief of parameter servers) every method returns its argument.

    Args:
        strategy: The strategy of the run.
        task: Task of this process in the group, or `None` if it is the only one.

    Attributes:
        is_chief: Whether this process reads and writes the files.
        processes: Number of processes in the group.
    """

    def __init__(self, strategy: tf.distribute.Strategy, task: cluster.Task | None = None):
        self._strategy = strategy
        self.is_chief = task is None or task.is_chief
        self.processes = 1 if task is None else sum(map(len, task.cluster.values()))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process. All processes must call it."""
        return flag if self.processes == 1 else bool(self._sum(np.array([flag], np.int32))[0])

    def barrier(self) -> None:
        """Returns when all processes have called it."""
        self.any(False)

    def leave(self) -> None:
        """Returns when all processes have called it: the last collective operation before they end."""
        self.barrier()
        # A process that is done may end before the others are, which know by now that all processes got here.
        with contextlib.suppress(*dispatch.LOST_PEER_ERRORS):
            self.barrier()

    def broadcast(self, value: Any) -> Any:
        """Broadcasts the chief's value.

        Args:
            value: Anything that JSON can hold; ignored in the other processes.

        Returns:
            The value of the chief.
        """
        if self.processes == 1:
            return value
        text = json.dumps(value).encode("utf-8") if self.is_chief else b""
        (size,) = self._sum(np.array([len(text)], np.int32))
        return json.loads(self._chiefs(text, int(size)))

    def broadcast_variables(self, variables: Mapping[str, keras.Variable]) -> None:
        """Broadcasts the values of variables in the chief, bit for bit.

        Args:
            variables: The same in every process, by name.
        """
        if self.processes == 1:
            return
        for variable in variables.values():
            own = np.array(variable.numpy())
            chiefs = np.frombuffer(self._chiefs(own.tobytes(), own.nbytes), own.dtype).reshape(own.shape)
            if not self.is_chief:
                variable.assign(chiefs)

    def _chiefs(self, content: bytes, size: int) -> bytes:
        """Broadcasts `size` bytes of the chief."""
        words = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            words.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        return self._sum(words).tobytes()[:size]

    def _sum(self, words: np.ndarray) -> np.ndarray:
        """Sums over the processes. Nothing overflows: all but the chief give zeros, or the sum is a small count."""
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(words), axis=None).numpy()

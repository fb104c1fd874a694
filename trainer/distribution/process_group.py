"""What the processes of a run agree on: the state that they begin with, and when to stop.

One process, the chief, reads and writes the files of the run. The others learn from it where the run stands, so that
they need not see those files, and all of them take the same turns: a collective operation that one of them leaves out
would hang.
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
    """Agreements of the processes that run the same program in step.

    With one such process (also the one that leads parameter servers) every method gives back what it was given.

    Args:
        strategy: The strategy of the run.
        task: What this process is among those in step, or `None` if it is alone.

    Attributes:
        is_chief: Whether this process reads and writes the files.
        processes: How many run in step.
    """

    def __init__(self, strategy: tf.distribute.Strategy, task: cluster.Task | None = None):
        self._strategy = strategy
        self.is_chief = task is None or task.is_chief
        self.processes = 1 if task is None else sum(map(len, task.cluster.values()))

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process. All of them must ask."""
        return flag if self.processes == 1 else bool(self._sum(np.array([flag], np.int32))[0])

    def barrier(self) -> None:
        """Returns when all processes have come here."""
        self.any(False)

    def leave(self) -> None:
        """Returns when all processes have come here: the last thing that they agree on before they end."""
        self.barrier()
        # One that has its answer may be gone before the others have theirs. That all came here they know already.
        with contextlib.suppress(*dispatch.LOST_PEER_ERRORS):
            self.barrier()

    def broadcast(self, value: Any) -> Any:
        """Gives every process the chief's value.

        Args:
            value: Whatever JSON can hold; looked at in the chief only.

        Returns:
            The chief's.
        """
        if self.processes == 1:
            return value
        text = json.dumps(value).encode("utf-8") if self.is_chief else b""
        (size,) = self._sum(np.array([len(text)], np.int32))
        return json.loads(self._chiefs(text, int(size)))

    def broadcast_variables(self, variables: Mapping[str, keras.Variable]) -> None:
        """Gives the variables of every process the values that they have in the chief, bit for bit.

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
        """The chief's bytes, of which there are `size`."""
        words = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            words.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        return self._sum(words).tobytes()[:size]

    def _sum(self, words: np.ndarray) -> np.ndarray:
        """The sum over the processes; as all but the chief give zeros, or as it is a count, nothing overflows."""
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(words), axis=None).numpy()

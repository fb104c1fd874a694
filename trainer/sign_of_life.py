"""A sign of life during steps that take minutes."""

import threading
import time
from types import TracebackType

from trainer.progress import duration


class SignOfLife:
    """Says again and again for how long a step is under way, from a thread of its own. Short steps are not mentioned.

    Args:
        steps: Number of steps of the whole run.
        every: Seconds between two signs.

    Example:
        >>> import time
        >>> with SignOfLife(steps=2) as sign:
        ...     sign.step = 1
        ...     time.sleep(0.1)  # The work of step 1.
    """

    def __init__(self, steps: int, every: float = 60.0):
        self._steps = steps
        self._every = every
        self._under_way: tuple[int, float] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "SignOfLife":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def step(self) -> int | None:
        """The step that is under way, counted from 1; None between steps."""
        return self._under_way and self._under_way[0]

    @step.setter
    def step(self, step: int | None) -> None:
        self._under_way = None if step is None else (step, time.monotonic())

    def _watch(self) -> None:
        said: tuple[tuple[int, float] | None, int] = (None, 0)
        while not self._ended.wait(self._every / 20):
            under_way = self._under_way
            if under_way is None:
                continue
            count = int((time.monotonic() - under_way[1]) / self._every)
            if count and said != (under_way, count):
                said = (under_way, count)
                print(f"  in step {under_way[0]}/{self._steps} for {duration(count * self._every)}", flush=True)

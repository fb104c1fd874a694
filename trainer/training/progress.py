"""The progress lines of a run, with speed and remaining time, and a heartbeat during steps that take minutes."""

import math
import threading
import time
from collections.abc import Mapping
from types import TracebackType


class Progress:
    """Measures the speed of the steps of a run.

    Only the time between `begin` and `end` counts, so evaluations and checkpoints do not make the steps look slower.

    Args:
        steps: Number of steps of the whole run.
    """

    def __init__(self, steps: int):
        self._steps = steps
        self._began = 0.0
        self._seconds = 0.0
        self._tokens = 0.0
        self._count = 0
        self._warm = False  # Whether the first step, which traces and compiles, is over.

    def begin(self) -> None:
        """Marks the beginning of a step."""
        self._began = time.perf_counter()

    def end(self, tokens: float) -> None:
        """Marks the end of a step.

        Args:
            tokens: Number of targets in its batch.
        """
        self._seconds += time.perf_counter() - self._began
        self._tokens += tokens
        self._count += 1

    def line(self, step: int, numbers: Mapping[str, float]) -> tuple[str, float]:
        """Makes the line for the steps since the last line.

        Args:
            step: Number of steps done.
            numbers: `loss` of the last step in nats, and its metrics.

        Returns:
            The line, and tokens a second.
        """
        speed = self._tokens / max(self._seconds, 1e-9)
        left = duration((self._steps - step) * self._seconds / max(self._count, 1)) if self._warm else "-:--"
        self._warm = True
        self._seconds, self._tokens, self._count = 0.0, 0.0, 0
        width = len(str(self._steps))
        said = shown(numbers, between="  ")
        text = f"step {step:{width}}/{self._steps}  {said}  {speed:,.0f} tokens/s  {left} left"
        return text, speed


def shown(numbers: Mapping[str, float], between: str = ", ") -> str:
    """Writes the loss and other numbers with their labels.

    Example:
        >>> shown({"loss": 2.34567, "bits_per_byte": 3.0})
        'loss 2.3457, bits/byte 3.0000'
    """
    return between.join(f"{label(name)} {value:.4f}" for name, value in numbers.items())


def label(name: str) -> str:
    """Returns the label of a number for people.

    Example:
        >>> label("bits_per_byte")
        'bits/byte'
    """
    return name.replace("_per_", "/").replace("_", " ")


class Heartbeat:
    """Prints at intervals for how long a step has been running, from a thread of its own; nothing for short steps.

    Args:
        steps: Number of steps of the whole run.
        every: Seconds between two lines.

    Example:
        >>> import time
        >>> with Heartbeat(steps=2) as heartbeat:
        ...     heartbeat.step = 1
        ...     time.sleep(0.1)  # The work of step 1.
    """

    def __init__(self, steps: int, every: float = 60.0):
        self._steps = steps
        self._every = every
        self._under_way: tuple[int, float] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def step(self) -> int | None:
        """The running step, counted from 1; None between steps."""
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


def duration(seconds: float) -> str:
    """Writes a duration as minutes:seconds or hours:minutes:seconds.

    Example:
        >>> duration(3725)
        '1:02:05'
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

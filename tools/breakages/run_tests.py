"""Runs tests of a copy of the repository until one fails."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

TIMED_OUT = "timed out"
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
# They look at the code that is broken, and not at what it does.
_NOT_THESE = "--ignore-glob=*/test_breakages.py"
_TAIL = 2000

_running: set[int] = set()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of tests showed.

    Attributes:
        caught_by: The test that failed first, or how the run ended else; None if all tests passed.
        seconds: How long it took.
    """

    caught_by: str | None
    seconds: float


def run(copy: pathlib.Path, tests: Sequence[str], limit: float) -> Outcome:
    """Runs tests, those that are marked slow left out, until one of them fails.

    Args:
        copy: A copy of the repository.
        tests: Arguments of pytest: paths in the copy, and options.
        limit: Seconds after which the run counts as one that hangs.

    Raises:
        RuntimeError: If pytest could not run the tests.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", _NOT_THESE, *tests]
    # Processes that tests start are to import from the copy, too.
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    began = time.monotonic()
    # Not a pipe, which a process that outlives the run would keep open.
    with tempfile.TemporaryFile() as output:
        with _started(command, copy, environment, output.fileno()) as process:
            try:
                code = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                return Outcome(TIMED_OUT, time.monotonic() - began)
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace")
    return Outcome(_caught_by(code, text), time.monotonic() - began)


@contextlib.contextmanager
def _started(
    command: Sequence[str], folder: pathlib.Path, environment: dict[str, str], output: int
) -> Iterator[subprocess.Popen]:
    """A process in a session of its own; at the end all of the session is killed that is left."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    _running.add(process.pid)
    try:
        yield process
    finally:
        _kill(process.pid)
        process.wait()
        _running.discard(process.pid)


def stop_all() -> None:
    """Kills the runs that are under way in other threads."""
    for leader in list(_running):
        _kill(leader)


def _kill(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _caught_by(code: int, text: str) -> str | None:
    if code == 0:
        return None
    failures = _FAILURE.findall(text)
    if failures:
        return failures[0]
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    raise RuntimeError(f"pytest must run the tests. Received: it ended with {code}\n{text[-_TAIL:]}")

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

import pytest

TIMED_OUT = "timed out"
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
# These tests compare the source with the table of breakages, so they would fail for any change.
_NOT_THESE = "--deselect=tests/test_breakages.py"
_TAIL = 2000
_NOTHING_RUN = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)

_running: set[int] = set()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a run of tests.

    Attributes:
        caught_by: The test that failed first, or another end of the run; None if all tests passed.
        seconds: The time that it took.
    """

    caught_by: str | None
    seconds: float


def run(copy: pathlib.Path, tests: Sequence[str], limit: float, first: Sequence[str] = ()) -> Outcome:
    """Runs tests, except those that are marked slow, until one of them fails.

    Args:
        copy: A copy of the repository.
        tests: Arguments of pytest: paths in the copy, and options.
        limit: Seconds after which a run of pytest counts as hanging.
        first: Tests to try before the others. Tests that do not exist are ignored.

    Raises:
        RuntimeError: If pytest could not run the tests.
    """
    began = time.monotonic()
    caught_by = _run(copy, first, limit, may_be_missing=True) if first else None
    if caught_by is None:
        caught_by = _run(copy, tests, limit)
    return Outcome(caught_by, time.monotonic() - began)


def _run(copy: pathlib.Path, tests: Sequence[str], limit: float, may_be_missing: bool = False) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", _NOT_THESE, *tests]
    # Processes that tests start must import from the copy too.
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    # A file and not a pipe, because a process that outlives the run would leave a pipe open.
    with tempfile.TemporaryFile() as output:
        with _started(command, copy, environment, output.fileno()) as process:
            try:
                code = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                return TIMED_OUT
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace")
    if may_be_missing and code in _NOTHING_RUN:
        return None
    return _caught_by(code, text)


@contextlib.contextmanager
def _started(
    command: Sequence[str], folder: pathlib.Path, environment: dict[str, str], output: int
) -> Iterator[subprocess.Popen]:
    """Starts a process in a session of its own; at the end all processes of the session are killed."""
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
    """Kills the runs of other threads."""
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

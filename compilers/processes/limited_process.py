"""Runs a command in a process of its own, with limits of time and memory; needs nothing but Python."""

import contextlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from compilers.processes import machine

DONE, TIMEOUT, MEMORY, FAILED = "done", "timeout", "out_of_memory", "failed"

_POLL_SECONDS = 0.1
_SAID = 2000  # Characters of a process's output that go into the reason.


def run(
    command: list[str],
    timeout: float = math.inf,
    memory_limit_mib: float | None = None,
    waiting: Callable[[float], None] = lambda seconds: None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Runs a command whose last line of output is one JSON object.

    Args:
        command: program and arguments.
        timeout: seconds after which it is killed.
        memory_limit_mib: resident size, with the processes that it starts, beyond which it is killed; by default 0.9
            of the machine's memory.
        waiting: called every minute with the seconds since the start.
        environment: its variables; by default those of this process.

    Returns:
        `status`, one of this module's constants; `seconds`, the time with the start of the process; and the fields of
        the JSON object, or the `reason` why there are none.

    Raises:
        OSError: if the program cannot be run.
    """
    limit = memory_limit_mib or 0.9 * machine.memory_mib()
    start = time.monotonic()
    with (
        _exiting_at_sigterm(),
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as log,
    ):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=environment, start_new_session=True
        )
        try:
            _prefer_as_victim(process.pid)
            ended = _watch(process, start, timeout, limit, waiting)
        finally:
            _end(process)
        seconds = time.monotonic() - start
        if ended == TIMEOUT:
            return {"status": TIMEOUT, "seconds": seconds, "reason": f"not done after {timeout:g} s"}
        if ended == MEMORY:
            reason = f"more than {limit:,.0f} MiB resident"
            return {"status": MEMORY, "seconds": seconds, "reason": reason}
        log.seek(0)
        output.seek(0)
        return {**_result(process.returncode, output.read(), log.read()), "seconds": seconds}


def failure(result: Mapping[str, Any]) -> str:
    """Says why a process is not done: its status, and the last line of the reason."""
    lines = result["reason"].strip().splitlines()
    return f"{result['status']} ({lines[-1] if lines else ''})"


@contextlib.contextmanager
def _exiting_at_sigterm() -> Iterator[None]:
    """Lets SIGTERM end this process by an exception, so that it still kills the other one."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(
    process: subprocess.Popen,
    start: float,
    timeout: float,
    memory_limit_mib: float,
    waiting: Callable[[float], None],
) -> str | None:
    """Waits for the process; returns the reason if it must be killed, otherwise None."""
    minutes = 1
    while process.poll() is None:
        seconds = time.monotonic() - start
        if seconds > timeout:
            return TIMEOUT
        if seconds > 60 * minutes:
            waiting(seconds)
            minutes += 1
        with contextlib.suppress(OSError, IndexError):  # It has just ended.
            if machine.resident_mib_with_children(process.pid) > memory_limit_mib:
                return MEMORY
        time.sleep(_POLL_SECONDS)
    return None


def _result(code: int, output: str, log: str) -> dict[str, Any]:
    if code == -signal.SIGKILL:
        return {"status": MEMORY, "reason": "killed, as the system does when memory runs out"}
    if code:
        # Words of the errors with which frameworks fail to allocate memory.
        words = ("ResourceExhausted", "MemoryError", "bad_alloc", "OutOfMemory", "can't allocate memory", "OOM when")
        status = MEMORY if any(word in log for word in words) else FAILED
        return {"status": status, "reason": f"exit code {code}: {log.strip()[-_SAID:]}"}
    try:
        measured = json.loads(output.strip().splitlines()[-1])
        if not isinstance(measured, dict):
            raise ValueError("not an object")
    except (IndexError, ValueError):
        return {"status": FAILED, "reason": f"the last line was no JSON object: {output.strip()[-_SAID:]!r}"}
    return {**measured, "status": DONE}


def _prefer_as_victim(pid: int) -> None:
    """Makes the system kill this process, and no other, when memory runs out."""
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

"""Processes that succeed, fail, time out or need too much memory."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from compilers.processes import limited_process


def _run(code, timeout=60.0, memory=4096.0):
    return limited_process.run([sys.executable, "-S", "-c", code], timeout, memory)


def test_the_last_line_is_the_result():
    result = _run("print('noise'); print('{\"tokens_per_s\": 2.5, \"seconds\": -1.0}')")
    assert result["status"] == "done" and result["tokens_per_s"] == 2.5 and result["seconds"] > 0


@pytest.mark.parametrize(
    "code, status, reason",
    [
        ("import sys; sys.exit('no such layer')", "failed", "exit code 1: no such layer"),
        ("print('not json')", "failed", "not json"),
        ("pass", "failed", "the last line was no JSON object"),
        ("raise MemoryError", "out_of_memory", "MemoryError"),
        ("import os; os.kill(os.getpid(), 9)", "out_of_memory", "killed"),
    ],
)
def test_failures_are_recorded(code, status, reason):
    result = _run(code)
    assert result["status"] == status and reason in result["reason"]


def test_too_long():
    start = time.monotonic()
    result = _run("import time; time.sleep(60)", timeout=0.3)
    assert result["status"] == "timeout" and result["reason"] == "not done after 0.3 s"
    assert time.monotonic() - start < 10


def test_too_much_memory():
    result = _run("import time; x = b'1' * 300_000_000; time.sleep(60)", memory=200)
    assert result["status"] == "out_of_memory" and result["reason"] == "more than 200 MiB resident"


def test_memory_of_processes_that_it_starts_counts():
    child = "import time; x = b'1' * 300_000_000; time.sleep(60)"
    result = _run(f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])", memory=200)
    assert result["status"] == "out_of_memory"


def test_both_processes_end_at_sigterm():
    code = "from compilers.processes import limited_process; limited_process.run(['sleep', '60'], 60.0, 4096.0)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code])
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def watched():
        """The process that is watched, which the system would kill first when memory runs out."""
        found = [pathlib.Path(f"/proc/{child}") for child in children.read_text().split()]
        return [child for child in found if (child / "oom_score_adj").read_text().strip() == "1000"]

    until = time.monotonic() + 30
    while not (found := watched()) and time.monotonic() < until:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert found and not found[0].exists()

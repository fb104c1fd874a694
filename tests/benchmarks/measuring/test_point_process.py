"""Processes that succeed, fail, time out or need too much memory."""

import sys
import time

import pytest

from benchmarks.measuring import point_process


def _run(code, timeout=60.0, memory=4096.0):
    return point_process.run([sys.executable, "-S", "-c", code], timeout, memory)


def test_the_last_line_is_the_result():
    result = _run("print('noise'); print('{\"tokens_per_s\": 2.5}')")
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

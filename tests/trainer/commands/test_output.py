"""Standard output and error that survive the loss of their readers."""

import contextlib
import io
import os
import sys

import pytest

from trainer.commands import output


class _Pipe:
    """Replaces a standard stream by the writing end of a pipe."""

    def __init__(self, monkeypatch, stream, **options):
        self.reading, self.writing = os.pipe()
        buffer = os.fdopen(self.writing, "wb", buffering=0 if options.get("write_through") else -1)
        self.stream = io.TextIOWrapper(buffer, **options)
        monkeypatch.setattr(sys, stream, self.stream)

    def close(self):
        os.close(self.reading)


@contextlib.contextmanager
def _pipes(monkeypatch, unbuffered):
    """Not a fixture, because pytest replaces the streams after fixtures."""
    with monkeypatch.context() as patched:
        found = {name: _Pipe(patched, name, write_through=unbuffered) for name in ("stdout", "stderr")}
        yield found
    for pipe in found.values():
        pipe.stream.close()


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_pipe_that_is_read_takes_what_is_printed(monkeypatch, unbuffered):
    with _pipes(monkeypatch, unbuffered) as pipes:
        output.guard(lambda: pytest.fail("it is read"))
        print("to be read", flush=True)
        print("a warning", file=sys.stderr, flush=True)
        assert os.read(pipes["stdout"].reading, 100) == b"to be read\n"
        assert os.read(pipes["stderr"].reading, 100) == b"a warning\n"


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("closed", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_a_closed_pipe_is_told_once_and_printing_goes_on(monkeypatch, unbuffered, closed):
    told = []
    with _pipes(monkeypatch, unbuffered) as pipes:
        output.guard(lambda: told.append(True))
        for name in closed:
            pipes[name].close()
        for _ in range(3):
            print("nobody reads it", flush=True)
            print("nor this", file=sys.stderr, flush=True)
            os.write(pipes[closed[0]].writing, b"what TensorFlow writes")
    assert len(told) == len(closed)


def test_a_full_disk_is_no_reason_to_end(monkeypatch):
    with open("/dev/full", "w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        output.guard(lambda: pytest.fail("it is not closed"))
        print("there is no room for it", flush=True)
        print("nor for this", flush=True)


def test_a_full_disk_is_an_error_where_the_output_is_the_result(monkeypatch):
    with open("/dev/full", "w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        output.guard(lambda: pytest.fail("it is not closed"), needed=True)
        with pytest.raises(OSError, match="No space left"):
            sys.stdout.buffer.raw.write(b"there is no room for it")


def test_a_stream_that_there_is_not(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    output.guard(lambda: pytest.fail("it is not closed"))
    print("a warning", file=sys.stderr, flush=True)


def test_a_stream_of_someone_else_stays(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    output.guard(lambda: pytest.fail("it is not closed"))
    print("text")
    assert sys.stdout.getvalue() == "text\n"

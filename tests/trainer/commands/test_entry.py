"""How the process of a command ends: by signals, a closed output or its own code, also during the imports."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from trainer import exits

ROOT = pathlib.Path(__file__).resolve().parents[3]
BEGIN_RUN = "from trainer.commands import entry; entry.begin(entry.STOP)\n"
BEGIN_COMMAND = "from trainer.commands import entry; entry.begin()\n"
PRINT = """
import sys, threading, time
def work():
    with entry.STOP as stop:
        while not stop.requested:
            {printing}
            time.sleep(0.001)
    sys.exit(75)
entry.run(work)
"""


def _start(*arguments, fake=None, **options):
    """Starts Python; modules in the folder `fake` hide installed ones."""
    path = os.pathsep.join(map(str, [*([fake] if fake else []), ROOT]))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen([sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path}, **pipes, **options)


def _end(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _ignore_hang_ups():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_the_end_leaves_out_only_the_taking_apart():
    code = """
import atexit, sys, threading, time
class Module:
    def __del__(self):
        print("taken apart", flush=True)
module = Module()
atexit.register(print, "a function that was registered")
def finish():
    threading.main_thread().join()
    print("a thread that had something to finish")
threading.Thread(target=finish).start()
print("not flushed by hand", end=" ")
entry.run(lambda: sys.exit(7))
"""
    expected = "not flushed by hand a thread that had something to finish\na function that was registered\n"
    assert _end(_start("-c", BEGIN_RUN + code)) == (7, expected, "")


@pytest.mark.parametrize(
    ("ends", "code"), [("None", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('said')", 1), ("1 / 0", 1)]
)
def test_codes(ends, code):
    found, out, err = _end(_start("-c", f"{BEGIN_COMMAND}import sys\nentry.run(lambda: {ends})"))
    assert (found, out) == (code, "")
    assert ("ZeroDivisionError" in err, "said" in err) == (ends == "1 / 0", "said" in ends)


@pytest.fixture(scope="module")
def slow_imports(tmp_path_factory):
    """A TensorFlow whose import does not end."""
    folder = tmp_path_factory.mktemp("fake")
    (folder / "tensorflow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    return folder


@pytest.mark.parametrize(
    ("module", "number", "code"),
    [
        ("task", signal.SIGTERM, exits.STOPPED),
        ("task", signal.SIGINT, exits.STOPPED),
        ("task", signal.SIGHUP, exits.STOPPED),
        ("evaluate", signal.SIGINT, -signal.SIGINT),
        ("generate", signal.SIGINT, -signal.SIGINT),
        ("export", signal.SIGTERM, -signal.SIGTERM),
        ("convert", signal.SIGINT, -signal.SIGINT),
    ],
)
def test_a_signal_during_the_imports(slow_imports, module, number, code):
    process = _start("-m", f"trainer.{module}", fake=slow_imports)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    said = "Stopped before the first step.\n" if module == "task" else ""
    assert _end(process) == (code, said, "")


def test_nohup(slow_imports):
    process = _start("-m", "trainer.task", fake=slow_imports, preexec_fn=_ignore_hang_ups)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert process.poll() is None
    process.terminate()
    assert _end(process)[0] == exits.STOPPED


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "printing",
    [
        "print('step', flush=True, file=sys.{closed})",
        "thread = threading.Thread(target=print, args=('step',), kwargs=dict(file=sys.{closed}, flush=True));"
        " thread.start(); thread.join()",
        "import logging; logging.StreamHandler(sys.{closed}).emit(logging.makeLogRecord(dict(msg='step')))",
    ],
    ids=["print", "thread", "logging"],
)
def test_an_output_that_nobody_reads_stops_a_run(closed, printing):
    process = _start("-c", BEGIN_RUN + PRINT.format(printing=printing.format(closed=closed)))
    stream = getattr(process, closed)
    assert stream.readline() == "step\n"
    stream.close()
    other = process.stderr if closed == "stdout" else process.stdout
    assert other.read() == ""
    assert process.wait(timeout=60) == exits.STOPPED


def test_an_output_that_nobody_reads_before_there_is_work_is_found_by_the_work():
    code = "import os; os.write(2, b'x'); sys.stdin.read(1); print('y', flush=True)\n"
    process = _start("-c", BEGIN_RUN + "import sys\n" + code + PRINT.format(printing="1 / 0"), stdin=subprocess.PIPE)
    assert process.stderr.read(1) == "x"
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == exits.STOPPED


def test_an_output_that_nobody_reads_ends_another_command_as_it_does_any():
    process = _start("-c", f"{BEGIN_COMMAND}while True: print('text', flush=True)")
    assert process.stdout.readline() == "text\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == -signal.SIGPIPE


INTERRUPTED = """
import time
def work():
    try:
        {begin}
        print("at work", flush=True)
        time.sleep(600)
    finally:
        print("put in order")
entry.run(work)
"""


@pytest.mark.parametrize(
    ("begin", "work"),
    [(BEGIN_RUN, "entry.STOP.__enter__().requested = True"), (BEGIN_COMMAND, "pass")],
    ids=["the second of a run", "the first of another command"],
)
def test_an_interrupt_ends_work_cleanly_and_without_a_trace(begin, work):
    process = _start("-c", begin + INTERRUPTED.format(begin=work))
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    assert _end(process) == (-signal.SIGINT, "put in order\n", "")


def test_descriptors_that_a_process_is_started_without():
    """Otherwise the first file that is opened gets their number, and the messages of TensorFlow."""
    code = "import os; file = open(os.devnull); os._exit(file.fileno())"
    closed = [sys.executable, "-c", BEGIN_RUN + code]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *closed], cwd=ROOT, timeout=60)
    assert done.returncode > 2

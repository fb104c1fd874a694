"""A process that ends with its parent."""

import os
import signal
import subprocess
import sys

import pytest

CHILD = "from compilers.processes import parent_process as p; p.end_with_it(); print('on', flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {CHILD!r}], stdin={{stdin}})"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_ends_when_its_parent_is_killed():
    # The child reads from a pipe that this test holds open, and would go on for as long.
    reading, writing = os.pipe()
    command = [sys.executable, "-S", "-c", PARENT.format(stdin=reading)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[reading])
    assert parent.stdout.readline() == b"on\n"
    parent.send_signal(signal.SIGKILL)
    assert parent.communicate(timeout=60) == (b"", None)  # The end of the child closes the pipe of the output.
    os.close(reading)
    os.close(writing)

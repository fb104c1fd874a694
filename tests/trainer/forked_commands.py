"""Runs commands in processes that are forked from this one and so have imported TensorFlow.

Only for the part of a command before TensorFlow's first operation, because a fork lacks TensorFlow's threads.
"""

import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from absl import flags

_SECONDS = 60.0  # After which a forked process counts as hanging.


def run(module, *arguments):
    """Runs `python -m trainer.MODULE ARGUMENTS`.

    Args:
        module: The name of a module of the trainer.
        *arguments: Strings or paths.

    Returns:
        What the process returns, its standard output, and its standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = pathlib.Path(folder, "out"), pathlib.Path(folder, "err")
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            _be_the_command(f"trainer.{module}", [str(argument) for argument in arguments], out, err)
        status = _wait(child)
        if status is None:  # A thread that the fork lacks had a lock.
            command = [sys.executable, "-m", f"trainer.{module}", *map(str, arguments)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            return ended.returncode, ended.stdout, ended.stderr
        return os.waitstatus_to_exitcode(status), out.read_text(), err.read_text()


def _wait(child):
    """Waits for a process and returns its status; None if it hangs, after it is killed."""
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _be_the_command(module, arguments, out, err):
    code = 1
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w") for number in (1, 2))
        _forget_what_was_imported()
        sys.argv = [module, *arguments]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _forget_what_was_imported():
    """Removes our modules and their flags, so that a command can define its flags again."""
    for module, defined in list(flags.FLAGS.flags_by_module_dict().items()):
        parent, _, name = module.rpartition(".")
        tree = module.partition(".")[0]
        if tree == "absl":
            continue
        for flag in list(defined):
            delattr(flags.FLAGS, flag.name)
        if tree == "trainer" and module in sys.modules:  # A command that ran in this process may have taken it out.
            del sys.modules[module]
            delattr(sys.modules[parent], name)

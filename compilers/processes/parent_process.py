"""The process that started this one; needs nothing but Python."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Of <sys/prctl.h>.


def end_with_it() -> None:
    """Lets the system kill this process when its parent ends, even if that is killed; only Linux does it.

    A compiler that nobody waits for would go on for minutes, and keep the lock of `libtpu`.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It ended before that.
        sys.exit("The process that started this one has ended.")

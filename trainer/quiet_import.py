"""Imports TensorFlow without its messages about the machine, which would hide those of a command."""

import contextlib
import faulthandler
import importlib.abc
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from typing import IO

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_PACKAGE = "tensorflow"
_STANDARD_ERROR = 2
# Information and warnings of TensorFlow's C++ code, which ignores the level while it is imported.
_NOISE = re.compile(rb"(WARNING: All log messages before absl::|[IW]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d .{10,40}: [IW] )")


def install() -> None:
    """Makes the first import of TensorFlow in this process a quiet one, unless the environment asks for its messages.

    Errors of TensorFlow's C++ code are hidden where there is no GPU, whose absence is one of them.
    """
    has_gpu = any(pathlib.Path("/dev").glob("nvidia*"))
    if os.environ.setdefault(_LEVEL, "2" if has_gpu else "3") in ("2", "3") and _PACKAGE not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow through the other finders, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads a module through another loader, without noise."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with _without_noise():
            self._loader.exec_module(module)


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back standard error, that of C++ code included, and then passes on the lines that are no noise."""
    try:
        original = os.dup(_STANDARD_ERROR)
    except OSError:  # Standard error is closed.
        yield
        return
    with os.fdopen(original, "wb") as stderr, tempfile.TemporaryFile() as written:
        # If TensorFlow aborts here, its message is lost; the fault handler still prints the stack.
        explains = not faulthandler.is_enabled()
        if explains:
            faulthandler.enable(stderr, all_threads=False)
        os.dup2(written.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(stderr.fileno(), _STANDARD_ERROR)
            if explains:
                faulthandler.disable()
            _hand_on(written, stderr)


def _hand_on(written: IO[bytes], to: IO[bytes]) -> None:
    written.seek(0)
    with contextlib.suppress(OSError):
        to.writelines(line for line in written if not _NOISE.match(line))
        to.flush()

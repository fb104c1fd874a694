"""Runs commands in this process, where their imports are done already."""

import contextlib
import runpy
import sys
import warnings
from unittest import mock

from absl import app, flags, logging

app.define_help_flags()  # It defines them once, so no command may remove its own.


def run(module, *arguments):
    """Runs `python -m trainer.MODULE ARGUMENTS`, and returns what the process would return."""
    return _run("trainer", module, arguments)


def run_benchmark(module, *arguments):
    """Runs `python -m benchmarks.MODULE ARGUMENTS`, and returns what it exits with: a code, or what it says."""
    with _imported_anew("benchmarks"):
        return _run("benchmarks", module, arguments)


def run_example(module, *arguments):
    """Runs `python -m examples.MODULE ARGUMENTS`, and returns what the process would return."""
    return _run("examples", module, arguments)


def _run(package, module, arguments):
    _forget_cluster_flags()
    argv = [f"{package}/{module}.py", *map(str, arguments)]
    with _private_flags(), _without_a_process(), mock.patch.object(sys, "argv", argv), warnings.catch_warnings():
        warnings.filterwarnings("ignore", f"'{package}.* found in sys.modules", RuntimeWarning)
        try:
            runpy.run_module(f"{package}.{module}", run_name="__main__")
        except SystemExit as error:
            return error.code or 0
    return 0


def _forget_cluster_flags():
    """Makes the next command import the module of these flags anew, which defines them when it is imported."""
    sys.modules.pop("trainer.commands.cluster_flags", None)
    if hasattr(sys.modules.get("trainer.commands"), "cluster_flags"):
        del sys.modules["trainer.commands"].cluster_flags


@contextlib.contextmanager
def _imported_anew(package):
    """Imports modules anew, so that they define their flags again, and restores the earlier modules at the end."""

    def take_out():
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == package}

    before = take_out()
    try:
        yield
    finally:
        take_out()
        sys.modules.update(before)


@contextlib.contextmanager
def _without_a_process():
    """Disables the start and exit of the process of a command, as this process goes on."""
    with (
        mock.patch("trainer.commands.entry.begin"),
        mock.patch("trainer.commands.entry.run", lambda command: command()),
    ):
        yield


@contextlib.contextmanager
def _private_flags():
    """Hides the flags of commands imported before, and removes those of this command at the end."""
    values, verbosity, handlers = flags.FLAGS, logging.get_verbosity(), logging.logging.root.handlers[:]
    was_parsed, before = values.is_parsed(), {}
    for name in list(values):
        module = values.find_module_defining_flag(name) or ""
        if not module.startswith("absl"):
            before[name] = (module, values[name])
            delattr(values, name)
    known = set(values)
    try:
        yield
    finally:
        for name in set(values) - known:
            delattr(values, name)
        for name, (module, flag) in before.items():
            values[name] = flag
            values.register_flag_by_module(module, flag)
        if not was_parsed:
            values.unparse_flags()
        logging.set_verbosity(verbosity)
        logging.logging.root.handlers[:] = handlers

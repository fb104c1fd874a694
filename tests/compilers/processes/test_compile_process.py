"""What comes of compiling in another process, and of environments that cannot compile."""

import sys

import pytest

from compilers.chips.registry import CHIPS
from compilers.processes import compile_process
from tests.compilers import fake_compiler
from tests.compilers.fake_compiler import FACTS, SIZES


@pytest.mark.parametrize(
    ("ending", "facts", "error", "message"),
    [
        (
            "kill -9 $$",
            None,
            MemoryError,
            "The compiler of v5e failed: killed, as the system does when memory runs out",
        ),
        ("kill -11 $$", None, RuntimeError, "failed: exit code -11"),
        ("echo it broke >&2; exit 3", None, RuntimeError, "failed: exit code 3: it broke"),
        ("", {**FACTS, "sizes": SIZES}, RuntimeError, "wrote no program. Received: versions .*'jax': '0.10.2'"),
    ],
)
def test_a_compiler_that_fails(tmp_path, ending, facts, error, message):
    python = fake_compiler.write(tmp_path, facts, ending=ending)
    with pytest.raises(error, match=message):
        compile_process.compile_program(b"lowered", "v5e", python)


def test_the_versions_that_compile(tmp_path):
    python = fake_compiler.write(tmp_path)
    assert compile_process.check("v5e", python) == {"jax": "0.10.2"}


@pytest.fixture
def bare_python(tmp_path):
    """A Python without installed packages."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("target", CHIPS)
def test_an_environment_without_the_compiler_is_refused(bare_python, target):
    needed = " and ".join(CHIPS[target].packages)
    with pytest.raises(ValueError, match=f"--target={target} needs {needed} .*Received: .*, without {needed}"):
        compile_process.check(target, bare_python)


def test_a_python_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        compile_process.check("h200", str(tmp_path / "none"))


def test_a_python_that_fails_is_refused(tmp_path):
    python = fake_compiler.write(tmp_path, ending="echo no such module >&2; exit 1")
    with pytest.raises(ValueError, match="--python must be a Python that runs. Received: .*no such module"):
        compile_process.check("h200", python)

"""A program that takes the place of a Python with the compiler of a chip."""

import json
import pathlib
from typing import Any

FACTS = {"device": "TPU v5 lite", "versions": {"jax": "0.10.2"}, "compile_s": 2.0, "waited_s": 0.0}
SIZES = {"temp": 100, "argument": 60, "output": 50, "alias": 40, "generated_code": 7}

_SCRIPT = """#!/bin/sh
for argument; do case $argument in --output=*) folder=${{argument#--output=}};; esac; done
if [ "$folder" ]; then cp -r {files}/. "$folder"; cat {compiled}; else cat {versions}; fi
{ending}
"""


def write(folder: pathlib.Path, facts: dict[str, Any] | None = None, program: bytes = b"", ending: str = "") -> str:
    """Writes the program.

    Args:
        folder: that it is written to.
        facts: that it says of compiling; it prints their versions where it is asked for the environment alone.
        program: that it compiles to; none if empty.
        ending: what it does in the end, in the language of the shell.

    Returns:
        Its path.
    """
    files, compiled, versions, script = (
        folder / name for name in ("files", "compiled.json", "versions.json", "python")
    )
    files.mkdir(exist_ok=True)
    compiled.write_text(json.dumps({"compiled": facts}) + "\n")
    versions.write_text(json.dumps({"versions": (facts or FACTS)["versions"]}) + "\n")
    if program:
        (files / "buffers.pb").write_bytes(program)
    script.write_text(_SCRIPT.format(files=files, compiled=compiled, versions=versions, ending=ending))
    script.chmod(0o755)
    return str(script)

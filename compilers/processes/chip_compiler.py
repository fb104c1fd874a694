"""Compiles a lowered program for a chip that is not here, with JAX's compilers, in a process without TensorFlow.

    python -m compilers.processes.chip_compiler h200 --program=step.hlo --output=FOLDER

The last line is one JSON object: of what was `compiled` the time, the memory and, if the compiler refused the program,
what it said; without `--program` the `versions` of the packages that compile; or why this environment is `refused`. In
the folder, the optimized program is an `HloProto`, `buffers.pb`, with the assignment of its buffers, which is there
after a refusal too if the compiler came so far; if the compiler notes more in the end, `codegen.pb` is the program with
that. Needs nothing but the standard library, `jax`, and the chip's compiler. The process ends with the one that started
it.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from compilers.chips.registry import CHIPS, Chip
from compilers.processes import lowered_program, parent_process

# How a compiler says that the chip's main memory is not enough; of other memories it says similar things.
_MAIN_MEMORY = re.compile("memory space hbm|HbmOom|memory on HBM|available HBM")
# The stages of compiling whose programs are read, and the files that they are written to.
_STAGES = {"after_optimizations": "buffers.pb", "after_codegen": "codegen.pb"}
_IN_USE = ("libtpu multi-process lockfile", "already in use by")
_POLL_SECONDS, _LONGEST_WAIT = 5.0, 900.0
_SIZES = ("temp", "argument", "output", "alias", "generated_code")


def missing(chip: Chip) -> list[str]:
    """The packages that compiling for a chip needs and this environment lacks."""
    return [package for package in chip.packages if importlib.util.find_spec(package) is None]


def compile_program(chip: Chip, program: bytes, folder: pathlib.Path) -> dict[str, Any]:
    """Compiles a program, writes what came of it to a folder, and returns the facts."""
    with tempfile.TemporaryDirectory() as dump:
        found = _compile(chip, program, dump)
        # JAX hands on no assignment of buffers; the compilers write it to this folder, as they do the program.
        for stage, name in _STAGES.items():
            written = list(pathlib.Path(dump).glob(f"*{stage}.hlo.pb"))
            if written:
                shutil.copy(max(written, key=lambda path: path.stat().st_size), folder / name)
    return found


def _compile(chip: Chip, program: bytes, dump: str) -> dict[str, Any]:
    flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_dump_to={dump}", "--xla_dump_hlo_as_proto"]
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()
    device, waited = _device(chip)
    found: dict[str, Any] = {"device": device.device_kind, "versions": versions(chip), "waited_s": waited}
    start = time.perf_counter()
    try:
        executable = lowered_program.compiled(program, device, loaded=False)
    except Exception as error:
        if not is_refusal(str(error)):
            raise
        found["refusal"] = str(error)
    else:
        memory = executable.get_compiled_memory_stats()
        found["sizes"] = {name: getattr(memory, f"{name}_size_in_bytes") for name in _SIZES}
    found["compile_s"] = time.perf_counter() - start
    return found


def is_refusal(said: str) -> bool:
    """Whether an error of a compiler says that the chip's main memory is not enough."""
    return _MAIN_MEMORY.search(said) is not None


def _device(chip: Chip) -> tuple[Any, float]:
    """A chip as JAX describes one that is not here, which loads its compiler, and the seconds of waiting for that."""
    os.environ.update({"JAX_PLATFORMS": "cpu", **chip.environment})
    import jax
    from jax.experimental import topologies

    jax.config.update("jax_enable_x64", True)
    options = {"target_config": chip.description, "topology": chip.topology} if chip.description else {}
    topology, waited = loaded(lambda: topologies.get_topology_desc(chip.topology, chip.platform, **options), chip.lock)
    return topology.devices[0], waited


def loaded(
    load: Callable[[], Any],
    lock: str,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Any, float]:
    """Loads a compiler; waits while another process of this machine has it, as `libtpu` allows one at a time.

    Args:
        load: loads it, or raises what it says when it is in use.
        lock: the file that it locks.
        sleep: waits so many seconds.
        clock: gives the time in seconds.

    Returns:
        The compiler, and the seconds of waiting.

    Raises:
        TimeoutError: if it is in use for 15 minutes.
    """
    start = clock()
    while True:
        try:
            return load(), clock() - start if clock() - start >= _POLL_SECONDS else 0.0
        except Exception as error:
            if not any(words in str(error) for words in _IN_USE):
                raise
            if clock() - start > _LONGEST_WAIT:
                raise TimeoutError(
                    f"{lock} was locked for {_LONGEST_WAIT / 60:.0f} minutes. End the process that compiles for a TPU; "
                    f"if there is none, remove the file: rm {lock}"
                ) from error
            sleep(_POLL_SECONDS)


def versions(chip: Chip) -> dict[str, str]:
    """The versions of the packages that compiling for a chip needs."""
    return {name: importlib.metadata.version(name) for name in chip.packages}


def refusal(chip: Chip) -> str:
    """Why this environment cannot compile for a chip; empty if it can."""
    if lacking := missing(chip):
        return (
            f"needs {' and '.join(chip.packages)} in the environment that compiles: "
            f'pip install -e ".[accelerators]", or --python=PATH of the Python of another one. '
            f"Received: {sys.executable}, without {' and '.join(lacking)}"
        )
    if os.path.exists(chip.lock) and not os.access(chip.lock, os.R_OK | os.W_OK):
        return (
            "needs a lock file that this user may read and write; let its owner remove it: "
            f"rm {chip.lock}. Received: {chip.lock}"
        )
    return ""


def main() -> None:
    """Checks the environment and compiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chip", choices=CHIPS)
    parser.add_argument("--program", type=pathlib.Path, help="serialized HloModuleProto")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the results")
    arguments = parser.parse_args()
    chip = CHIPS[arguments.chip]
    if refused := refusal(chip):
        found: dict[str, Any] = {"refused": f"--target={arguments.chip} {refused}"}
    elif arguments.program:
        found = {"compiled": compile_program(chip, arguments.program.read_bytes(), arguments.output)}
    else:
        found = {"versions": versions(chip)}
    print(json.dumps(found))


if __name__ == "__main__":
    parent_process.end_with_it()
    main()

"""Compiles a lowered program for a chip that is not here, with JAX's compilers, in a process without TensorFlow.

    python -m benchmarks.points.chip_compiler h200 --program=step.hlo --output=FOLDER

In the folder, `compiled.json` has the time, the memory and, if the compiler refused the program, what it said; the
optimized program is `module.pb`, an `HloModuleProto`, and with the assignment of its buffers `buffers.pb`, an
`HloProto`, which is there after a refusal too if the compiler came so far. Without `--program`, only the environment is
checked. Needs nothing but the standard library, `jax`, and the chip's compiler.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
from typing import Any

from benchmarks.measuring import chips, lowered_program

_MEMORY = ("RESOURCE_EXHAUSTED", "Ran out of memory", "out of memory")
_SIZES = ("temp", "argument", "output", "alias", "generated_code")


def missing(chip: chips.Chip) -> list[str]:
    """The packages that compiling for a chip needs and this environment lacks."""
    return [package for package in chip.packages if importlib.util.find_spec(package) is None]


def compile_program(chip: chips.Chip, program: bytes, folder: pathlib.Path) -> None:
    """Compiles a program and writes what came of it."""
    with tempfile.TemporaryDirectory() as dump:
        found = _compile(chip, program, folder, dump)
        # JAX hands on no assignment of buffers; the compilers write it to this folder.
        with_buffers = list(pathlib.Path(dump).glob("*after_optimizations.hlo.pb"))
        if with_buffers:
            shutil.copy(max(with_buffers, key=lambda path: path.stat().st_size), folder / "buffers.pb")
    (folder / "compiled.json").write_text(json.dumps(found))


def _compile(chip: chips.Chip, program: bytes, folder: pathlib.Path, dump: str) -> dict[str, Any]:
    flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_dump_to={dump}", "--xla_dump_hlo_as_proto"]
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()
    device, compile_module = _compiler(chip)
    start = time.perf_counter()
    found: dict[str, Any] = {"device": device, "versions": _versions(chip)}
    try:
        executable = compile_module(program)
    except Exception as error:
        if not any(words in str(error) for words in _MEMORY):
            raise
        found["refusal"] = str(error)
    else:
        memory = executable.get_compiled_memory_stats()
        found["sizes"] = {name: getattr(memory, f"{name}_size_in_bytes") for name in _SIZES}
        (module,) = executable.hlo_modules()
        (folder / "module.pb").write_bytes(module.as_serialized_hlo_module_proto())
    found["compile_s"] = time.perf_counter() - start
    return found


def _compiler(chip: chips.Chip) -> tuple[str, Any]:
    """The name of the chip by its compiler, and a function that compiles a serialized `HloModuleProto`."""
    os.environ.update({"JAX_PLATFORMS": "cpu", **chip.environment})
    import jax
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax.experimental import topologies

    jax.config.update("jax_enable_x64", True)
    options = {"target_config": chip.description, "topology": chip.topology} if chip.description else {}
    topology = topologies.get_topology_desc(chip.topology, chip.platform, **options)
    device = topology.devices[0]

    def compile_module(program: bytes) -> Any:
        with mlir.make_ir_context():
            module = lowered_program.module(program)
            chosen = compiler.get_compile_options(num_replicas=1, num_partitions=1)
            return device.client.compile(module, xla_client.DeviceList((device,)), chosen)

    return device.device_kind, compile_module


def _versions(chip: chips.Chip) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in chip.packages}


def main() -> None:
    """Checks the environment and compiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chip", choices=chips.CHIPS)
    parser.add_argument("--program", type=pathlib.Path, help="serialized HloModuleProto")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the results")
    arguments = parser.parse_args()
    chip = chips.CHIPS[arguments.chip]
    if lacking := missing(chip):
        sys.exit(
            f"--target={arguments.chip} needs {' and '.join(chip.packages)} in the environment that compiles: "
            f'pip install -e ".[accelerators]", or --python=PATH of the Python of another one. '
            f"Received: {sys.executable}, without {' and '.join(lacking)}"
        )
    if arguments.program:
        compile_program(chip, arguments.program.read_bytes(), arguments.output)


if __name__ == "__main__":
    main()

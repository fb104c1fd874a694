"""Compiles a lowered program for a chip that is not here, with JAX's compilers, in a process without TensorFlow.

    python -m benchmarks.points.chip_compiler h200 --program=step.hlo --output=FOLDER

In the folder, `compiled.json` has the time, the memory and, if the compiler refused the program, what it said. The
optimized program is an `HloProto`, `buffers.pb`, with the assignment of its buffers, which is there after a refusal too
if the compiler came so far; if the compiler notes more in the end, `codegen.pb` is the program with that. Without
`--program`, only the environment is checked. Needs nothing but the standard library, `jax`, and the chip's compiler.
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
from collections.abc import Callable
from typing import Any

from benchmarks.measuring import chips

_MEMORY = ("RESOURCE_EXHAUSTED", "Ran out of memory", "out of memory")
# The stages of compiling whose programs are read, and the files that they are written to.
_STAGES = {"after_optimizations": "buffers.pb", "after_codegen": "codegen.pb"}
_IN_USE = ("libtpu multi-process lockfile", "already in use by")
_POLL_SECONDS = 5.0
_SIZES = ("temp", "argument", "output", "alias", "generated_code")


def missing(chip: chips.Chip) -> list[str]:
    """The packages that compiling for a chip needs and this environment lacks."""
    return [package for package in chip.packages if importlib.util.find_spec(package) is None]


def compile_program(chip: chips.Chip, program: bytes, folder: pathlib.Path) -> None:
    """Compiles a program and writes what came of it."""
    with tempfile.TemporaryDirectory() as dump:
        found = _compile(chip, program, dump)
        # JAX hands on no assignment of buffers; the compilers write it to this folder, as they do the program.
        for stage, name in _STAGES.items():
            written = list(pathlib.Path(dump).glob(f"*{stage}.hlo.pb"))
            if written:
                shutil.copy(max(written, key=lambda path: path.stat().st_size), folder / name)
    (folder / "compiled.json").write_text(json.dumps(found))


def _compile(chip: chips.Chip, program: bytes, dump: str) -> dict[str, Any]:
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
    from jaxlib.mlir import ir

    jax.config.update("jax_enable_x64", True)
    options = {"target_config": chip.description, "topology": chip.topology} if chip.description else {}
    topology = _waiting(lambda: topologies.get_topology_desc(chip.topology, chip.platform, **options))
    device = topology.devices[0]

    def compile_module(program: bytes) -> Any:
        with mlir.make_ir_context():
            computation = xla_client.XlaComputation(program)
            module = ir.Module.parse(xla_client._xla.mlir.xla_computation_to_mlir_module(computation))
            _remove_copies(module, ir)
            chosen = compiler.get_compile_options(num_replicas=1, num_partitions=1)
            return device.client.compile(module, xla_client.DeviceList((device,)), chosen)

    return device.device_kind, compile_module


def _waiting(load: Callable[[], Any]) -> Any:
    """Loads a compiler; waits while another process of this machine has it, as `libtpu` allows one at a time."""
    while True:
        try:
            return load()
        except Exception as error:
            if not any(words in str(error) for words in _IN_USE):
                raise
            time.sleep(_POLL_SECONDS)


def _remove_copies(module: Any, ir: Any) -> None:
    """Removes copies that TensorFlow lowers to and JAX's dialect does not have; they change no value."""
    copies = []

    def collect(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for copy in copies:
        copy.results[0].replace_all_uses_with(copy.operands[0])
        copy.erase()


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

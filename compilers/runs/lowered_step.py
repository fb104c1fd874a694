"""A lowered training step on the device of this machine, by JAX and without TensorFlow, in a process of its own.

    python -m compilers.runs.lowered_step --program=lsh_local_16384.hlo
    python -m compilers.runs.lowered_step --program=check.hlo --check

Programs are those of `compilers.steps.lowering`, as `benchmarks.points.gpu_step --program=FILE` writes them. Arguments
are random numbers, on which the time of a step does not depend; with `--check` they are those beside the program, and
loss and gradients are compared with the results there. Needs `jax` and `numpy`. The last line is one JSON object.
"""

import argparse
import json
import os
import pathlib
import time
from typing import Any

import numpy as np

from compilers.processes import lowered_program
from compilers.runs import comparison, timing

_SCALE = 0.02  # Of random weights.
_TOKENS = 256


class _Program:
    """A program on the device.

    Args:
        path: of the serialized `HloModuleProto`.

    Attributes:
        device: that it runs on.
        compile_s: how long it was compiled.
        parameters: shape and dtype of each argument.
    """

    def __init__(self, path: pathlib.Path):
        import jax

        jax.config.update("jax_enable_x64", True)  # Arguments of 64 bits would be cut.
        program = path.read_bytes()
        self.device = jax.devices()[0]
        self.parameters = lowered_program.parameters(program)
        start = time.perf_counter()
        self._executable = lowered_program.compiled(program, self.device, loaded=True)
        self.compile_s = time.perf_counter() - start

    def put(self, arguments: list[np.ndarray]) -> list[Any]:
        """Arguments on the device."""
        import jax

        return [jax.device_put(np.asarray(x), self.device) for x in arguments]

    def random_arguments(self) -> list[Any]:
        """Random arguments, made on the device."""
        import jax

        keys = jax.random.split(jax.random.key(0), len(self.parameters))

        def make(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            if np.issubdtype(dtype, np.integer):
                return jax.random.randint(key, shape, 0, _TOKENS, dtype)
            return _SCALE * jax.random.normal(key, shape, dtype)

        return [make(key, *parameter) for key, parameter in zip(keys, self.parameters, strict=True)]

    def run(self, arguments: list[Any]) -> list[Any]:
        """Runs the program to its end."""
        import jax

        return jax.block_until_ready(self._executable.execute(arguments))

    def bytes(self) -> dict[str, int]:
        """The memory of the program by kind, and the most that was in use on the device where it says that."""
        sizes = self._executable.get_compiled_memory_stats()
        kinds = {"temporary_bytes": "temp", "argument_bytes": "argument", "output_bytes": "output"}
        found = {name: getattr(sizes, f"{kind}_size_in_bytes") for name, kind in kinds.items()}
        return {**found, "peak_bytes": (self.device.memory_stats() or {}).get("peak_bytes_in_use")}


def measure(path: pathlib.Path, repeat: int) -> dict[str, Any]:
    """Compiles a program, runs it, and returns the content of the last line."""
    program = _Program(path)
    arguments = program.random_arguments()
    program.run(arguments)
    return {
        "device": program.device.device_kind,
        "compile_s": program.compile_s,
        "step_s": timing.median_seconds(lambda: program.run(arguments), repeat),
        **program.bytes(),
    }


def check(path: pathlib.Path) -> dict[str, Any]:
    """Compares the results of a program with those beside it, and returns the content of the last line."""
    program = _Program(path)
    arguments, expected = comparison.load(path.with_suffix(".npz"))
    shapes = [(x.shape, x.dtype) for x in arguments]
    if shapes != program.parameters:
        raise ValueError(f"{path.with_suffix('.npz')} must have the arguments of {path}. Received: {shapes}")
    found = [np.asarray(x) for x in program.run(program.put(arguments))]
    return {"device": program.device.device_kind, **comparison.errors(found, expected)}


def main() -> None:
    """Reads the arguments and does what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="the lowered step")
    parser.add_argument("--check", action="store_true", help="whether results are compared")
    parser.add_argument("--repeat", type=int, default=3, help="timed steps, after one that is not")
    arguments = parser.parse_args()
    # By default JAX takes three quarters of the memory of a GPU, and no more.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")
    found = check(arguments.program) if arguments.check else measure(arguments.program, arguments.repeat)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

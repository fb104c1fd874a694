"""Measures on a GPU machine what `benchmarks.gpu_step --prepare=FOLDER` made on another one; needs `jax` and `numpy`.

    cd FOLDER && python -m benchmarks.prepared_gpu_step

The last line is one JSON object, which `--output` has as well, after each point. The exit code is 1 if the numbers
differ from those of the CPU, or a point fails.
"""

import argparse
import importlib.util
import pathlib
import sys

from compilers.runs import gpu_plan


def main() -> None:
    """Measures the points of the plan in this folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=450.0, help="limit of all measurements together")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("gpu_step.json"), help="the results")
    parser.add_argument("--cpu", action="store_true", help="whether a CPU may take the place of the GPU")
    arguments = parser.parse_args()
    path = pathlib.Path(gpu_plan.FILE)
    if not path.exists():
        parser.error(f"the current folder must be one that benchmarks.gpu_step made. Received: no {path.absolute()}")
    if lacking := [package for package in ("jax", "numpy") if importlib.util.find_spec(package) is None]:
        sys.exit(f"Error: jax and numpy must be installed. Received: {sys.executable}, without {' and '.join(lacking)}")
    gpu_plan.main(gpu_plan.load(path), arguments.seconds, arguments.output, arguments.cpu)


if __name__ == "__main__":
    main()

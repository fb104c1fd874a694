"""Measures on a GPU machine what `benchmarks.gpu_step --prepare=FOLDER` made on another one; needs `jax` and `numpy`.

    cd FOLDER && python -m benchmarks.prepared_gpu_step

The last line is one JSON object, which `--output` has as well, after each point.
"""

import argparse
import json
import pathlib

from benchmarks.measuring import gpu_plan
from benchmarks.reports import gpu_step


def main() -> None:
    """Measures the points of the plan in this folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=450.0, help="limit of all measurements together")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("gpu_step.json"), help="the results")
    arguments = parser.parse_args()
    path = pathlib.Path(gpu_plan.FILE)
    if not path.exists():
        parser.error(f"the current folder must be one that benchmarks.gpu_step made. Received: no {path.absolute()}")
    plan = gpu_plan.load(path)
    print(json.dumps(gpu_plan.run(plan, arguments.seconds, arguments.output, gpu_step.line)))


if __name__ == "__main__":
    main()

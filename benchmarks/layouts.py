"""Differences of the losses of the same training on one device, mirrored, on workers and on parameter servers.

    python -m benchmarks.layouts --steps=30 --output=layouts.json

Every layout trains the model of `configs/tiny.py` without dropout on the same rows, in processes on this machine. The
result is the largest relative difference of a step's loss from that of one device, over the first ten steps and over
all steps; with `--repeat_layouts` each layout runs twice, and the losses of both runs must be the same bit for bit.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from absl import app, flags

from benchmarks.measuring import trainer_options

_STEPS = flags.DEFINE_integer("steps", 30, "Steps of each run.", lower_bound=1)
_BATCH = flags.DEFINE_integer(
    "batch", 6, "Rows of the global batch; every number of replicas divides it.", lower_bound=1
)
_LAYOUTS = flags.DEFINE_list(
    "layouts", ["mirrored_2", "workers_2", "workers_3", "servers_2"], "Layouts to compare with one device."
)
_TWICE = flags.DEFINE_bool("repeat_layouts", False, "Whether each layout runs twice.")
_OUTPUT = flags.DEFINE_string("output", "layouts.json", "File of the results.")

_CLUSTERS = {
    "workers_2": ["--workers=2"],
    "workers_3": ["--workers=3"],
    "servers_2": ["--workers=2", "--parameter_servers=1"],
}
_CHANGES = {"mirrored_2": {"strategy": "mirrored", "logical_devices": 2}}
_KNOWN = ("one_device", *_CHANGES, *_CLUSTERS)


def command(layout: str, workdir: pathlib.Path, steps: int, batch: int) -> list[str]:
    """The command of a layout's run.

    Args:
        layout: `one_device` or one of `--layouts`.
        workdir: Folder of the run.
        steps: Number of steps.
        batch: Rows of the global batch.
    """
    cluster = _CLUSTERS.get(layout)
    module = ["trainer.local_cluster", *cluster, "--"] if cluster else ["trainer.task"]
    changes = {
        **trainer_options.sources("reformer_tf", 0.02),
        "train.eval_every": 0,
        "train.steps": steps,
        "train.batch_size": batch,
        **_CHANGES.get(layout, {}),
    }
    return [sys.executable, "-m", *module, *trainer_options.options("tiny", workdir, changes)]


def losses(workdir: pathlib.Path) -> list[float]:
    """The training losses of a run, step by step."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record["loss"] for record in records if record["split"] == "train"]


def largest_difference(found: list[float], expected: list[float]) -> float:
    """The largest relative difference of two curves."""
    return max(abs(one - other) / abs(other) for one, other in zip(found, expected, strict=True))


def _train(layout: str, folder: pathlib.Path) -> list[float]:
    workdir = folder / layout
    print(f"{layout}: {_STEPS.value} steps", flush=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command(layout, workdir, _STEPS.value, _BATCH.value),
        capture_output=True,
        text=True,
        cwd=trainer_options.ROOT,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"{layout} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found = losses(workdir)
    workdir.rename(folder / f"{layout}.{len(list(folder.iterdir()))}")
    return found


def main(arguments: list[str]) -> int:
    """Runs all layouts, prints the differences and writes them."""
    unknown = sorted(set(_LAYOUTS.value) - set(_KNOWN))
    if unknown:
        raise app.UsageError(f"`--layouts` must be among {', '.join(_KNOWN)}. Received: {', '.join(unknown)}")
    result: dict[str, Any] = {"steps": _STEPS.value, "batch": _BATCH.value, "layouts": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        expected = _train("one_device", folder)
        result["one_device"] = expected
        for layout in _LAYOUTS.value:
            found = _train(layout, folder)
            entry: dict[str, Any] = {
                "losses": found,
                "difference_10": largest_difference(found[:10], expected[:10]),
                "difference": largest_difference(found, expected),
            }
            text = f"  largest relative difference: {entry['difference_10']:.1e} over 10 steps"
            text += f", {entry['difference']:.1e} over {_STEPS.value}"
            if _TWICE.value:
                entry["same_again"] = _train(layout, folder) == found
                text += f"; again {'the same' if entry['same_again'] else 'NOT the same'} bit for bit"
            print(text, flush=True)
            result["layouts"][layout] = entry
            pathlib.Path(_OUTPUT.value).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    app.run(main)

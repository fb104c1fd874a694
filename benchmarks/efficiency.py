"""The cost of several workers and of checkpoints: tokens a second compared with one worker, and without checkpoints.

    python -m benchmarks.efficiency --steps=60 --repeats=3 --output=efficiency.json

- Workers: one worker on one core with its batch, and two workers on a core each with twice the batch. The efficiency is
  the speed of two over twice that of one; the loss is due to communication, waiting, and the shared memory.
- Checkpoints: a run with a checkpoint every 50 steps and one with only the first and the last. The overhead is the
  relative difference of the time from the first logged step to the last.

Runs alternate, and medians are compared. The model is that of `configs/quickstart.py`, with flags to change it.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks.measuring import command_line
from trainer.storage import metrics

_STEPS = flags.DEFINE_integer("steps", 60, "Steps of each run.", lower_bound=20)
_LENGTH = flags.DEFINE_integer("length", 2048, "Tokens of a row.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Repetitions, in which the runs alternate.", lower_bound=1)
_EVERY = flags.DEFINE_integer("checkpoint_every", 50, "Steps between two checkpoints.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "efficiency.json", "File of the results.")

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_NEVER = 10**9
# A program that pins the process to the core of its worker index, and then runs the task.
_PIN = (
    "import json, os, runpy, sys; task = json.loads(os.environ.get('TF_CONFIG') or '{}').get('task', {'index': 0}); "
    "os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[task['index']]}); sys.argv[0] = 'task'; "
    "runpy.run_module('trainer.task', run_name='__main__')"
)


def _train(workdir: pathlib.Path, workers: int, pinned: bool, checkpoint_every: int) -> float:
    """Trains, and returns the seconds a step from the tenth step on."""
    task = [sys.executable, *(["-c", _PIN] if pinned else ["-m", "trainer.task"])]
    cluster = [sys.executable, "-m", "trainer.local_cluster", f"--workers={workers}", "--"]
    changes = {
        "export": False,
        "report": False,
        "strategy": "multi_worker" if workers > 1 else "one_device",
        "train.steps": _STEPS.value,
        "train.sequence_length": _LENGTH.value,
        "train.batch_size": workers,
        "train.log_every": 10,
        "train.eval_every": -1,
        "train.checkpoint_every": checkpoint_every,
    }
    options = [f"--config={_ROOT / 'configs' / 'quickstart.py'}", f"--workdir={workdir}"]
    options += [f"--config.{name}={value}" for name, value in changes.items()]
    subprocess.run(
        [*(cluster if workers > 1 else []), *task, *options],
        cwd=_ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    written = {record["step"]: record["wall_time"] for record in metrics.read_records(workdir / "metrics.jsonl")}
    first, last = 10, _STEPS.value // 10 * 10
    return (written[last] - written[first]) / (last - first)


def main() -> None:
    """Runs all, prints the ratios and writes them."""
    runs = {
        "one_worker": (1, True, _NEVER),
        "two_workers": (2, True, _NEVER),
        "no_checkpoints": (1, False, _NEVER),
        "checkpoints": (1, False, _EVERY.value),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_REPEATS.value):
        for name, run_arguments in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(_train(pathlib.Path(folder) / "run", *run_arguments))
            print(f"{name}: {seconds[name][-1]:.4f} s a step", flush=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "steps": _STEPS.value,
        "length": _LENGTH.value,
        "checkpoint_every": _EVERY.value,
        "seconds_a_step": seconds,
        # Two workers make twice the tokens in a step.
        "efficiency_of_two_workers": median["one_worker"] / median["two_workers"],
        "overhead_of_checkpoints": median["checkpoints"] / median["no_checkpoints"] - 1.0,
    }
    print(f"Efficiency of two workers: {result['efficiency_of_two_workers']:.2f}")
    print(f"Overhead of a checkpoint every {_EVERY.value} steps: {result['overhead_of_checkpoints']:.1%}")
    pathlib.Path(_OUTPUT.value).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    command_line.run(main)

"""Kills, stops and damages training runs repeatedly, and checks that nothing is lost.

    python -m tests.faults --output=faults.json

Each trial is a run of a tiny model with one fault at a random moment. The same command starts the run again until it is
done; its metrics must then be the same as those of an undisturbed run of the same layout, bit for bit. The faults:

- `kill`, `terminate`, `hang_up`: SIGKILL, SIGTERM and SIGHUP to the only process.
- `kill_worker`, `kill_chief`, `terminate_worker`: SIGKILL or SIGTERM to one of two workers, which must end both.
- `hang_up_cluster`: SIGHUP to the process that has started two workers.
- `close_output`, `close_output_cluster`: the output of the process, or of two workers, is no longer read.
- `truncate`, `flip`: after a SIGKILL the newest of several checkpoints is truncated, or one of its bits flipped.
- `full_disk`: the disk is full during a save (a small tmpfs where one can be mounted, else a limit on file sizes).

Faults of processes are also tried in the middle of writing a checkpoint and of writing a metrics line. After a fault
every process of the run must end within 60 s; unless it was killed, the run must save and end with code 75.
"""

import collections
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
from typing import Any

from absl import app, flags

from tests.faults import fault_runs
from trainer import exits

KILLS: dict[str, tuple[str, signal.Signals | None, int | None]] = {
    "kill": ("one_device", signal.SIGKILL, None),
    "terminate": ("one_device", signal.SIGTERM, None),
    "hang_up": ("one_device", signal.SIGHUP, None),
    "kill_worker": ("workers_2", signal.SIGKILL, 1),
    "kill_chief": ("workers_2", signal.SIGKILL, 0),
    "terminate_worker": ("workers_2", signal.SIGTERM, 1),
    "hang_up_cluster": ("workers_2", signal.SIGHUP, None),
    "close_output": ("one_device", None, None),
    "close_output_cluster": ("workers_2", None, None),
}
"""Layout, signal (None: its output is closed), and the index of the worker that gets it."""
DAMAGES = ("truncate", "flip")
FAULTS = (*KILLS, *DAMAGES, "full_disk")
_MOMENTS = ("random", "checkpoint", "metrics")

_FAULTS = flags.DEFINE_list("faults", list(FAULTS), "Which faults.")
_RANDOM = flags.DEFINE_integer("random", 5, "Trials of each fault at random moments.", lower_bound=0)
_INSIDE = flags.DEFINE_integer("inside", 2, "Trials inside each kind of write.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_OUTPUT = flags.DEFINE_string("output", "faults.json", "File of the results.")
_PATIENCE = 60.0


def _signalled(fault: str, moment: str, folder: pathlib.Path, rng: random.Random, first: int = 0) -> dict[str, Any]:
    layout, number, worker = KILLS[fault]
    pause = fault_runs.Pause(moment, rng.randint(2, 6), folder / "mark") if moment != "random" else None
    process = fault_runs.start(layout, folder / "run", pause, piped=number is None)
    reader = fault_runs.Reader(process, folder / "log.txt") if number is None else None
    fault_runs.wait_for_moment(process, folder, pause, rng, first)
    target = process if worker is None else fault_runs.worker(process, worker)
    began_nothing = not fault_runs.metrics(folder / "run")
    began = time.monotonic()
    if number is not None:
        target.send_signal(number)
    elif reader is not None:
        reader.close()
    code = process.wait(timeout=_PATIENCE)
    # A signal may come before the first line of Python.
    saved = code in (exits.STOPPED, exits.DONE) or (began_nothing and number and code in (-number, 128 + number))
    return {"code": code, "seconds": time.monotonic() - began, "saved": bool(saved)}


def _damaged(fault: str, moment: str, folder: pathlib.Path, rng: random.Random) -> dict[str, Any]:
    found = _signalled("kill", moment, folder, rng, first=2 * fault_runs.CHECKPOINT_EVERY + 1)
    newest = max((folder / "run" / "checkpoints").glob("step-*.safetensors"))
    content = bytearray(newest.read_bytes())
    offset = rng.randrange(len(content))
    if fault == "truncate":
        del content[offset:]
    else:
        content[offset] ^= 1 << rng.randrange(8)
    newest.write_bytes(content)
    return {**found, "damaged": newest.name, "place": offset}


def _full_disk(fault: str, moment: str, folder: pathlib.Path, rng: random.Random) -> dict[str, Any]:
    del fault, moment
    began = time.monotonic()
    with fault_runs.small_disk(folder / "run", rng) as kind:
        code = fault_runs.start("one_device", folder / "run", limit=kind == "limit").wait(timeout=10 * _PATIENCE)
    if code != exits.NOT_SAVED:
        raise RuntimeError(f"The disk was not full: the run ended with {code}.")
    return {"code": code, "seconds": time.monotonic() - began, "disk": kind}


def _trial(fault: str, moment: str, number: int, expected: list[dict], folder: pathlib.Path) -> dict[str, Any]:
    rng = random.Random(f"{_SEED.value} {fault} {moment} {number}")
    act = _signalled if fault in KILLS else _damaged if fault in DAMAGES else _full_disk
    found = act(fault, moment, folder, rng)
    layout = KILLS[fault][0] if fault in KILLS else "one_device"
    starts = 1
    while (code := fault_runs.start(layout, folder / "run").wait(timeout=600.0)) and starts < 3:
        starts += 1
    same = not code and fault_runs.metrics(folder / "run") == expected
    if fault in KILLS and KILLS[fault][1] != signal.SIGKILL:
        same = same and found["saved"]
    return {"fault": fault, "moment": moment, **found, "starts_after": starts, "same": same}


def _moments(fault: str) -> list[str]:
    inside = ["checkpoint", "metrics"] if fault in KILLS else []
    return ["random"] * _RANDOM.value + [moment for moment in inside for _ in range(_INSIDE.value)]


def main(arguments: list[str]) -> int:
    """Runs all trials; returns 1 if any run lost something."""
    del arguments
    unknown = sorted(set(_FAULTS.value) - set(FAULTS))
    if unknown:
        raise app.UsageError(f"`--faults` must be among {', '.join(FAULTS)}. Received: {', '.join(unknown)}")
    trials: list[dict[str, Any]] = []
    expected: dict[str, list[dict]] = {}
    for fault in _FAULTS.value:
        layout = KILLS[fault][0] if fault in KILLS else "one_device"
        for number, moment in enumerate(_moments(fault)):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                if layout not in expected:
                    code = fault_runs.start(layout, folder / "run").wait(timeout=600.0)
                    if code:
                        raise RuntimeError(f"The undisturbed run ended with {code}.")
                    expected[layout] = fault_runs.metrics(folder / "run")
                    fault_runs.remove(folder / "run")
                trial = _trial(fault, moment, number, expected[layout], folder)
            trials.append(trial)
            ended = f"ended with {trial['code']} after {trial['seconds']:.1f} s"
            print(f"{fault} ({moment}): {ended}; {'same' if trial['same'] else 'NOT THE SAME'}", flush=True)
            pathlib.Path(_OUTPUT.value).write_text(json.dumps(trials, indent=2) + "\n", encoding="utf-8")
    return _summary(trials)


def _summary(trials: list[dict[str, Any]]) -> int:
    counts: dict[tuple[str, str], list[bool]] = collections.defaultdict(list)
    for trial in trials:
        counts[trial["fault"], trial["moment"]].append(trial["same"])
    for (fault, moment), same in counts.items():
        print(f"{fault:22}{moment:12}{sum(same)} of {len(same)} as undisturbed")
    return 0 if all(trial["same"] for trial in trials) else 1


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(app.run(main))

"""The runs that `tests.faults` disturbs: starts them, waits for a moment, and reads their results."""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from trainer.storage.metrics import MEASURED

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_STEPS = 40
CHECKPOINT_EVERY = 4
_PAUSE_SECONDS = 2.0
_PATIENCE = 300.0


@dataclasses.dataclass(frozen=True)
class Pause:
    """The write in which a run pauses: its kind, its number, and the file that marks the pause."""

    where: str
    number: int
    mark: pathlib.Path


class Process:
    """A process that can be sent a signal, whichever its parent.

    Args:
        identity: The process id.
    """

    def __init__(self, identity: int):
        self.pid = identity

    def send_signal(self, number: int) -> None:
        """Sends a signal, if the process still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def command(layout: str, workdir: pathlib.Path, module: str = "trainer.task") -> list[str]:
    """The command of a run of `layout`, one_device or workers_2."""
    changes = {
        "export": False,
        "report": False,
        "data.name": "text",
        "data.path": _ROOT / "trainer",
        "data.pattern": "*.py",
        "data.validation_fraction": 0.05,
        "model.dropout": 0.1,
        "train.eval_every": 10,
        "train.checkpoint_every": CHECKPOINT_EVERY,
        "train.steps": _STEPS,
        "strategy": "multi_worker" if layout == "workers_2" else layout,
    }
    options = [f"--config={_ROOT / 'configs' / 'tiny.py'}", f"--workdir={workdir}"]
    options += [f"--config.{name}={value}" for name, value in changes.items()]
    cluster = ["trainer.local_cluster", "--workers=2", "--grace=20", "--", sys.executable, "-m"]
    return [sys.executable, "-m", *(cluster if layout == "workers_2" else []), module, *options]


class Reader:
    """Reads the output of a run through a pipe until it is closed, as `head` does.

    Args:
        process: The run, started with `piped`.
        log: The file that the output is written to.
    """

    def __init__(self, process: subprocess.Popen, log: pathlib.Path):
        assert process.stdout is not None
        self._stream = process.stdout
        self._log = log
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops reading: later output of the run meets a closed pipe."""
        self._ended.set()
        self._thread.join()
        self._stream.close()

    def _read(self) -> None:
        with self._log.open("ab") as log:
            while not self._ended.is_set():
                if select.select([self._stream], [], [], 0.01)[0]:
                    printed = os.read(self._stream.fileno(), 1 << 16)
                    if not printed:
                        return
                    log.write(printed)


def start(
    layout: str, workdir: pathlib.Path, pause: Pause | None = None, limit: bool = False, piped: bool = False
) -> subprocess.Popen:
    """Starts a run, or starts it again.

    Args:
        layout: one_device or workers_2.
        workdir: Its folder.
        pause: The write in which it pauses.
        limit: Whether its files are limited to half the size of a checkpoint.
        piped: Whether its output goes to a pipe, for a `Reader`, and not to a file.
    """
    environment = dict(os.environ)
    if pause is not None:
        environment.update(PAUSE_IN=pause.where, PAUSE_AT=str(pause.number), PAUSE_MARK=str(pause.mark))
        environment.update(PAUSE_SECONDS=str(_PAUSE_SECONDS))
    module = "trainer.task" if pause is None else "tests.faults.paused_task"
    log = (workdir.parent / "log.txt").open("ab")
    with log:
        return subprocess.Popen(
            command(layout, workdir, module),
            stdout=subprocess.PIPE if piped else log,
            stderr=subprocess.STDOUT,
            cwd=_ROOT,
            env=environment,
            preexec_fn=_limit_files if limit else None,
        )


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def wait_for_moment(
    process: subprocess.Popen, folder: pathlib.Path, pause: Pause | None, rng: random.Random, first: int = 0
) -> None:
    """Waits for the pause, or for a random moment between the start and the last step.

    Args:
        process: The run.
        folder: The parent of its folder.
        pause: The write in which it pauses, if any.
        rng: The generator that decides the moment.
        first: The first line of the metrics after which the moment may come.

    Raises:
        RuntimeError: If the run ends before that moment.
    """
    wanted = rng.randrange(first, _STEPS)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"The run ended with {process.returncode} before the fault: {_log(folder)}")
        if pause.mark.exists() if pause else len(metrics(folder / "run")) >= wanted:
            if not pause:
                time.sleep(rng.random() * (3.0 if wanted == 0 else 0.1))
            return
        time.sleep(0.005)
    raise RuntimeError(f"The moment did not come: {_log(folder)}")


def worker(cluster: subprocess.Popen, index: int) -> Process:
    """The process of a worker of a local cluster."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent != cluster.pid:
                continue
            variables = dict(entry.partition("=")[::2] for entry in (folder / "environ").read_text().split("\0"))
            if json.loads(variables["TF_CONFIG"])["task"]["index"] == index:
                return Process(int(folder.name))
    raise RuntimeError(f"There is no worker {index} of {cluster.pid}")


def metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The complete lines of a run's metrics without measured values such as times."""
    path = workdir / "metrics.jsonl"
    records = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):
            records.append({name: value for name, value in json.loads(line).items() if name not in MEASURED})
    return records


def remove(workdir: pathlib.Path) -> None:
    """Removes a run."""
    shutil.rmtree(workdir)


@contextlib.contextmanager
def small_disk(workdir: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Makes the disk of `workdir` too small for a complete run, while the body runs.

    Yields:
        `tmpfs`, or `limit` if none can be mounted and the caller must limit the size of files instead.
    """
    workdir.mkdir(parents=True)
    small = workdir.with_name("small")
    small.mkdir()
    kilobytes = rng.randrange(130, 320)  # One to three checkpoints.
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", workdir], capture_output=True)
    if done.returncode:
        yield "limit"
        return
    try:
        yield "tmpfs"
        shutil.copytree(workdir, small, dirs_exist_ok=True)
    finally:
        subprocess.run(["umount", workdir], check=True)
    shutil.copytree(small, workdir, dirs_exist_ok=True)


def _log(folder: pathlib.Path) -> str:
    return (folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:]

"""Small runs in processes of their own: one process, or a cluster on this machine."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

from tests.trainer import runs
from trainer import config as configs


def write_config(folder: pathlib.Path, config) -> pathlib.Path:
    """Writes a config as a file for `--config`."""
    path = folder / "config.json"
    configs.write_config(config, path)
    return path


def make_config(folder: pathlib.Path, kind: str = "local"):
    """Makes the config of a run with 6 rows a step, which 1, 2 or 3 workers divide evenly, on a corpus in `folder`."""
    config = runs.make_config(runs.write_corpus(folder / "corpus"), kind)
    config.train.batch_size = 6
    config.train.steps = 10
    config.train.checkpoint_every = 4
    config.train.eval_every = 5
    return config


def start(
    config: pathlib.Path,
    workdir: pathlib.Path,
    *options: str,
    module: str = "trainer.task",
    environment: Mapping[str, str] = MappingProxyType({}),
    **cluster: int,
):
    """Starts a run; `workers` and `parameter_servers` make it one of a cluster.

    Args:
        config: File of the config.
        workdir: Folder of the run.
        options: More flags.
        module: What to run.
        environment: More variables.
        cluster: Flags of `trainer.local_cluster`.
    """
    command = [sys.executable, "-m"]
    if cluster:
        strategy = "parameter_server" if cluster.get("parameter_servers") else "multi_worker"
        options = (*options, f"--config.strategy={strategy}")
        command += ["trainer.local_cluster", *(f"--{name}={count}" for name, count in cluster.items()), "--"]
        command += [sys.executable, "-m"]
    command += [module, f"--config={config}", f"--workdir={workdir}", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables(**environment)
    )


def variables(**more: str) -> dict[str, str]:
    """Returns the environment of a process, with more variables."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **more}


def run(*arguments, code: int = 0, **options) -> str:
    """Runs to the end, with the arguments of `start`, and returns the output."""
    process = start(*arguments, **options)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def losses(workdir: pathlib.Path, split: str = "train") -> list[float]:
    """Returns the losses in the metrics file, in order."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if record["split"] == split]

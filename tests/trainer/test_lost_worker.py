"""A worker that dies ends the others soon, with a message, where nothing else looks after them."""

import subprocess
import sys
import time

import pytest

from tests.trainer import clusters
from trainer import exits
from trainer.local_cluster import make_tasks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("killed", [0, 1], ids=["chief", "worker"])
def test_the_other_worker_ends(tmp_path, killed):
    config = clusters.make_config(tmp_path)
    config.strategy, config.train.steps, config.train.eval_every = "multi_worker", 10**6, -1
    path, workdir = clusters.write_config(tmp_path, config), tmp_path / "run"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "trainer.task", f"--config={path}", f"--workdir={workdir}"],
            env=clusters.variables(TF_CONFIG=task.to_json()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for task in make_tasks(2, 0)
    ]
    try:
        _wait_for_lines(workdir / "metrics.jsonl", 5, processes)
        processes[killed].kill()
        output, _ = processes[1 - killed].communicate(timeout=60)
        assert processes[1 - killed].returncode == exits.LOST_PEER, output
        assert "another process of the run is gone or cannot be reached" in output
        assert f"go on from the newest checkpoint in {workdir}" in output
    finally:
        for process in processes:
            process.kill()


def _wait_for_lines(path, count, processes):
    until = time.monotonic() + 200
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < until, "no steps were made"
        for process in processes:
            assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)

"""When a worker dies, the others end soon with a message, also without a supervising process."""

import subprocess
import sys
import time

import pytest

from tests.trainer import clusters
from trainer import exits
from trainer.local_cluster import make_tasks

pytestmark = pytest.mark.slow


class _Run:
    """An endless run of several processes that are started one by one."""

    def __init__(self, folder, strategy, workers, parameter_servers):
        config = clusters.make_config(folder)
        config.strategy, config.train.steps, config.train.eval_every = strategy, 10**6, -1
        path, self.workdir = clusters.write_config(folder, config), folder / "run"
        self.logs = []
        self.processes = {}
        for task in make_tasks(workers, parameter_servers):
            self.logs.append(folder / f"{task.name}.txt")
            with self.logs[-1].open("w") as log:
                self.processes[task.name] = subprocess.Popen(
                    [sys.executable, "-m", "trainer.task", f"--config={path}", f"--workdir={self.workdir}"],
                    env=clusters.variables(TF_CONFIG=task.to_json()),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def wait_for_steps(self, count, process_index):
        until = time.monotonic() + 200
        path = self.workdir / "metrics.jsonl"
        while not path.exists() or len(path.read_text().splitlines()) < count:
            assert time.monotonic() < until, "no steps were made"
            assert self.processes[process_index].poll() is None, self.logs[0].read_text()
            time.sleep(0.1)
        return len(path.read_text().splitlines())

    def assert_lost(self, name):
        assert self.processes[name].wait(timeout=60) == exits.LOST_PEER
        output = "".join(log.read_text() for log in self.logs)
        assert "another process of the run is gone or cannot be reached" in output
        assert f"go on from the newest checkpoint in {self.workdir}" in output


@pytest.fixture
def start(tmp_path):
    runs = []
    yield lambda *arguments: runs.append(_Run(tmp_path, *arguments)) or runs[-1]
    for process in runs[0].processes.values():
        process.kill()


@pytest.mark.parametrize(("killed", "other"), [("worker 0", "worker 1"), ("worker 1", "worker 0")])
def test_the_other_worker_ends(start, killed, other):
    run = start("multi_worker", 2, 0)
    run.wait_for_steps(5, other)
    run.processes[killed].kill()
    run.assert_lost(other)


def test_parameter_servers_are_missed_and_workers_are_not(start):
    run = start("parameter_server", 2, 1)
    steps = run.wait_for_steps(5, "chief")
    run.processes["worker 0"].kill()
    run.wait_for_steps(steps + 50, "chief")
    run.processes["ps 0"].kill()
    run.assert_lost("chief")

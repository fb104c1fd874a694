"""Workers in processes of their own train as one device does, and go on in another number after a stop."""

import re
import signal
import time

import numpy as np
import pytest

from tests.trainer import clusters, runs
from trainer import exits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return clusters.write_config(folder, clusters.make_config(folder))


@pytest.fixture(scope="module")
def one_device(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one")
    clusters.run(config, workdir)
    return workdir


def _assert_close(workdir, one_device):
    steps = [(record["split"], record["step"]) for record in runs.lines(workdir)]
    assert steps == [(record["split"], record["step"]) for record in runs.lines(one_device)]
    for split in ("train", "validation"):
        found = clusters.losses(workdir, split)
        np.testing.assert_allclose(found, clusters.losses(one_device, split), rtol=1e-5)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_equal_one_device(config, one_device, tmp_path, workers):
    output = clusters.run(config, tmp_path, workers=workers)
    _assert_close(tmp_path, one_device)
    assert output.count("Done after 10 steps") == 1, "said once for all"


def test_parameter_servers_equal_one_device(config, one_device, tmp_path):
    clusters.run(config, tmp_path, workers=2, parameter_servers=1)
    _assert_close(tmp_path, one_device)


def test_two_workers_then_one_then_two(config, one_device, tmp_path):
    _stop_after(3, clusters.start(config, tmp_path, workers=2))
    _stop_after(6, clusters.start(config, tmp_path))
    clusters.run(config, tmp_path, workers=2)
    _assert_close(tmp_path, one_device)


def test_an_epoch_of_changing_workers_has_every_example_once(tmp_path):
    """Two workers, one, and two again: the 60 windows of an epoch are 10 steps of 6 rows."""
    config = clusters.make_config(tmp_path)
    config.data.train_windows = 60
    path, workdir = clusters.write_config(tmp_path, config), tmp_path / "run"
    counting = "tests.trainer.counting_task"
    _stop_after(2, clusters.start(path, workdir, module=counting, workers=2))
    _stop_after(5, clusters.start(path, workdir, module=counting))
    clusters.run(path, workdir, module=counting, workers=2)
    seen = {file.name: file.read_text().splitlines() for file in workdir.glob("seen-*.txt")}
    assert len(seen) == 5, "two processes, one, and two"
    rows = [row for of_process in seen.values() for row in of_process]
    assert len(rows) == 60
    assert len(set(rows)) == 60


def _stop_after(step, process):
    for line in process.stdout:
        found = re.search(r"step +(\d+)/", line)
        if found and int(found[1]) >= step:
            process.send_signal(signal.SIGTERM)
            break
    began = time.monotonic()
    output, _ = process.communicate(timeout=100)
    assert process.returncode == exits.STOPPED, output
    assert time.monotonic() - began < 60
    assert re.search(r"Stopped at step \d+. The state is saved", output)

"""Workers in processes of their own train as one device does, and a different number of them goes on after a stop."""

import time

import numpy as np
import pytest

from tests.trainer import clusters, runs
from trainer import config as configs
from trainer import exits


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return clusters.write_config(folder, clusters.make_config(folder))


@pytest.fixture(scope="module")
def one_device(config, tmp_path_factory):
    """In this process."""
    workdir = tmp_path_factory.mktemp("one")
    assert runs.run(configs.read_config(config), workdir) == exits.DONE
    return workdir


def _assert_close(workdir, one_device):
    steps = [(record["split"], record["step"]) for record in runs.lines(workdir)]
    assert steps == [(record["split"], record["step"]) for record in runs.lines(one_device)]
    for split in ("train", "validation"):
        found = clusters.losses(workdir, split)
        np.testing.assert_allclose(found, clusters.losses(one_device, split), rtol=1e-5)


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_equal_one_device(config, one_device, tmp_path, workers):
    output = clusters.run(config, tmp_path, workers=workers)
    _assert_close(tmp_path, one_device)
    assert output.count("Done after 10 steps") == 1, "said once for all"


@pytest.mark.slow
def test_parameter_servers_equal_one_device(config, one_device, tmp_path):
    clusters.run(config, tmp_path, workers=2, parameter_servers=1)
    _assert_close(tmp_path, one_device)


@pytest.mark.slow
def test_two_workers_then_one_then_two(tmp_path):
    """Stopped by a signal to one of them; the 60 examples of an epoch are 10 steps of 6 rows, each seen once."""
    config = clusters.make_config(tmp_path, "lsh")
    config.data.train_windows = 60
    path, one_process, workdir = clusters.write_config(tmp_path, config), tmp_path / "alone", tmp_path / "changing"
    _count(path, one_process)
    _count(path, workdir, stop_after=2, code=exits.STOPPED, workers=2)
    _count(path, workdir, stop_after=2, code=exits.STOPPED)
    _count(path, workdir, workers=2)
    _assert_close(workdir, one_process)
    seen = {file.name: file.read_text().splitlines() for file in workdir.glob("seen-*.txt")}
    assert sorted(len(rows) for rows in seen.values()) == [9, 9, 12, 12, 18], "3 steps by two, 3 by one, 4 by two"
    rows = [row for process_rows in seen.values() for row in process_rows]
    assert len(set(rows)) == 60


def _count(config, workdir, stop_after=-1, **options):
    environment = {"STOP_AFTER": str(stop_after)}
    began = time.monotonic()
    output = clusters.run(config, workdir, module="tests.trainer.counting_task", environment=environment, **options)
    assert ("The state is saved" in output) == (stop_after >= 0)
    assert time.monotonic() - began < 300

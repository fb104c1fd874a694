"""A run on two replicas is that of one device, also after a restart."""

import numpy as np

from tests.trainer import runs
from trainer import exits


def test_two_replicas_with_a_restart_equal_one_device(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))  # With dropout: it follows the rows.
    config.train.steps, config.train.eval_every = 6, 0
    assert runs.run(config, tmp_path / "one") == exits.DONE
    config.strategy, config.logical_devices = "mirrored", 2
    programs = runs.Programs()
    assert programs.run(config, tmp_path / "two", runs.StopAfter(3)) == exits.STOPPED
    assert programs.run(config, tmp_path / "two") == exits.DONE
    one, two = runs.lines(tmp_path / "one"), runs.lines(tmp_path / "two")
    assert [(line["split"], line["step"]) for line in two] == [(line["split"], line["step"]) for line in one]
    assert [line["tokens_seen"] for line in two] == [line["tokens_seen"] for line in one]
    np.testing.assert_allclose([line["loss"] for line in two], [line["loss"] for line in one], rtol=1e-5)

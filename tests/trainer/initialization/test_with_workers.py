"""Workers in processes of their own begin with the weights that the chief reads."""

import numpy as np
import pytest

from tests.trainer import clusters, runs
from tests.trainer.initialization import sources
from trainer import exits


@pytest.mark.slow
def test_two_workers_equal_one_device(tmp_path):
    """The chief alone knows the bucket count and the grid of positions, which the shapes of all variables depend on."""
    config = clusters.make_config(tmp_path, "lsh")
    sources.write(config, tmp_path / "pretrained")
    config.init_from, config.init_positions = str(tmp_path / "pretrained"), "tile"
    config.model.max_sequence_length = 2 * config.model.max_sequence_length
    assert runs.run(config, tmp_path / "one") == exits.DONE
    output = clusters.run(clusters.write_config(tmp_path, config), tmp_path / "two", workers=2)
    assert output.count("Weights of step 3") == 1
    for split in ("train", "validation"):
        found, expected = (clusters.losses(tmp_path / workdir, split) for workdir in ("two", "one"))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

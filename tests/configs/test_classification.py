"""Real steps of the configs of classifications, shrunk, on the data that they name."""

import pytest

from configs import listops, listops_short, pathfinder, pathfinder_easy, retrieval, text_classification
from tests.trainer import runs
from trainer import exits

SLOW = (listops, listops_short, pathfinder, pathfinder_easy, text_classification)


@pytest.mark.parametrize("module", [retrieval, *(pytest.param(module, marks=pytest.mark.slow) for module in SLOW)])
def test_a_few_steps(module, tmp_path):
    config = module.get_config()
    config.export = config.report = False
    config.model.num_layers, config.model.hidden_dim, config.model.intermediate_dim = 2, 16, 32
    config.model.num_heads, config.model.key_dim = 2, 8
    config.model.reversible = False  # Halves the time to trace.
    config.model.chunk_length = config.model.local_chunk_length = 8
    config.train.sequence_length = config.model.max_sequence_length = 64  # Of longer excerpts.
    if config.data.name == "listops":
        config.data.min_length, config.data.max_length, config.data.length_buckets = 6, 60, ()
        config.data.examples, config.data.validation_examples = 50, 20
    elif config.data.name == "pathfinder":  # Pictures have one size.
        config.data.contour_length, config.data.examples, config.data.validation_examples = 6, 50, 20
        config.train.sequence_length = config.model.max_sequence_length = 1024
    else:
        config.data.validation_fraction = 0.01
    config.train.batch_size, config.train.eval_examples = 8, 16
    config.train.steps, config.optimizer.warmup_steps, config.optimizer.learning_rate = 6, 2, 1e-2
    config.train.log_every = 1
    assert runs.run(config, tmp_path / "run") == exits.DONE
    *steps, validation = runs.lines(tmp_path / "run")
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert len({line["loss"] for line in steps}) == 6
    assert (validation["split"], validation["examples"]) == ("validation", 16)
    assert 0 <= validation["accuracy"] <= 1

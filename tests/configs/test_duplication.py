"""Real steps of `configs/duplication.py` and `configs/duplication_short.py`, shrunk."""

import pytest

from configs import duplication, duplication_short
from tests.trainer import runs
from trainer import exits


@pytest.mark.parametrize("module", [duplication_short, pytest.param(duplication, marks=pytest.mark.slow)])
def test_a_few_steps(tmp_path, module):
    config = module.get_config()
    config.data.length, config.data.symbols, config.data.examples, config.data.validation_examples = 16, 3, 400, 8
    config.train.sequence_length, config.model.max_sequence_length, config.model.vocabulary_size = 15, 16, 4
    config.model.hidden_dim, config.model.key_dim, config.model.intermediate_dim = 32, 8, 32
    config.model.chunk_length, config.model.num_buckets = 4, 2
    config.train.steps, config.train.batch_size, config.optimizer.warmup_steps = 100, 16, 5
    config.train.jit_compile = False
    assert runs.run(config, tmp_path) == exits.DONE
    lines = runs.lines(tmp_path)
    assert lines[-1]["split"] == "validation"
    assert lines[-1]["tokens"] == 8 * 7, "only those of the second w count"
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.02

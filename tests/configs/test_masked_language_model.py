"""Real steps of `configs/masked_language_model.py`, shrunk."""

from configs import masked_language_model
from tests.trainer import runs
from trainer import exits


def test_a_few_steps(tmp_path):
    config = masked_language_model.get_config()
    config.export = config.report = False
    config.data.name, config.data.path = "text", str(runs.write_corpus(tmp_path / "corpus"))
    config.data.validation_fraction = 0.2
    config.model.num_layers, config.model.hidden_dim, config.model.intermediate_dim = 2, 16, 32
    config.model.chunk_length = config.model.local_chunk_length = 8
    config.train.sequence_length = config.model.max_sequence_length = 64
    config.train.steps, config.optimizer.warmup_steps = 12, 2
    assert runs.run(config, tmp_path / "run") == exits.DONE
    lines = runs.lines(tmp_path / "run")
    assert lines[-1]["split"] == "validation"
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    assert 0 < lines[-1]["accuracy"] < 1

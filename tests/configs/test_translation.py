"""The configs of translations: their learning rates, and real steps of them, shrunk."""

import math

import pytest

from configs import number_words, wmt14_en_de, wmt14_en_de_big
from tests.trainer import runs
from trainer import exits
from trainer.optimization import schedule


@pytest.mark.parametrize(("module", "constant"), [(wmt14_en_de, 0.088), (wmt14_en_de_big, 0.0625)])
def test_the_rate_is_that_of_the_authors_code(module, constant):
    """`constant * linear_warmup * rsqrt_decay` there."""
    config = module.get_config()
    rate, warm_up = schedule.from_config(config.optimizer, config.train.steps), 8000
    for step in (1, 4000, 7999, 8000, 8001, 32_000, 100_000):
        theirs = constant * min(1.0, step / warm_up) / math.sqrt(max(step, warm_up))
        assert float(rate(step - 1)) == pytest.approx(theirs, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("module", [number_words, wmt14_en_de, wmt14_en_de_big])
def test_a_few_steps(module, tmp_path):
    pytest.importorskip("sacrebleu")
    config = module.get_config()
    config.report = False
    config.model.num_encoder_layers = config.model.num_decoder_layers = 1
    config.model.hidden_dim, config.model.intermediate_dim = 16, 32
    config.model.num_heads, config.model.key_dim = 2, 8
    config.model.reversible = False  # Halves the time to trace.
    config.data.examples, config.data.validation_examples = 60, 9
    if config.data.name == "pairs":
        file = tmp_path / "pairs.tsv"
        file.write_text("en\tde\n" + "".join(f"source {number}\ttarget {number}\n" for number in range(90)))
        config.data.tfds_name, config.data.path, config.data.tokens = "", str(file), "bytes"
        config.data.examples, config.data.validation_examples = 10_000, 1_000  # No fields of this source.
        config.model.source_vocabulary_size = config.model.target_vocabulary_size = 257
        config.train.precision = "float32"
    config.train.batch_size, config.translation.examples, config.translation.max_new_tokens = 8, 3, 5
    config.train.steps, config.optimizer.warmup_steps, config.optimizer.learning_rate = 6, 2, 1e-2
    config.train.log_every = 1
    assert runs.run(config, tmp_path / "run") == exits.DONE
    *steps, validation = runs.lines(tmp_path / "run")
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert len({line["loss"] for line in steps}) == 6
    assert validation["split"] == "validation"
    assert {"bits_per_byte", "accuracy", "bleu", "exact_match"} <= {*validation}

"""ListOps at the sizes of the Long Range Arena: the value of nested lists of digits, from 501 to 1,999 tokens.

    python -m trainer.task --config=configs/listops.py --workdir=/tmp/listops

`configs/listops_short.py` has shorter lists, which 2 CPU cores learn from in minutes.

Time: the whole config was not run; `--dry_run` says what it takes.
Result: not run. What the shorter lists show, beside the Arena's table: docs/results.md.
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config: lists, width, depth, batch and steps of the Arena's code."""
    config = default_config()
    config.task = "classification"
    config.export = True
    config.report = True

    config.model = ConfigDict()
    config.model.vocabulary_size = 15
    config.model.max_sequence_length = 2048
    config.model.num_layers = 4
    config.model.hidden_dim = 512
    config.model.num_heads = 8
    config.model.key_dim = 64
    config.model.intermediate_dim = 1024
    config.model.attention_layers = ("local", "lsh")  # Repeated.
    config.model.chunk_length = 64
    config.model.local_chunk_length = 64
    config.model.num_hashes = 2
    config.model.num_classes = 10
    config.model.pooling = "first"  # The vector of the outermost operator.
    config.model.dropout = 0.1
    config.model.attention_dropout = 0.1
    config.model.seed = 0

    config.data.name = "listops"
    config.data.layout = "padded"
    config.data.examples = 96_000
    config.data.validation_examples = 2_000
    config.data.length_buckets = (1024,)

    config.optimizer.learning_rate = 1.6e-3  # The Arena's highest: 0.05 / sqrt(1000).
    config.optimizer.warmup_steps = 1000
    config.optimizer.weight_decay = 0.1

    config.train.steps = 5000
    config.train.batch_size = 32
    config.train.sequence_length = 2000
    config.train.log_every = 10
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.train.best_metric = "accuracy"
    return config

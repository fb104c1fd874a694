"""A run of half a minute through every phase of a run: for a first look, and for the tests.

    python -m trainer.task --config=configs/tiny.py --workdir=/tmp/tiny

Time: about half a minute on 2 CPU cores, most of it to start TensorFlow and to trace.
Result: about 5 bits a byte, as it learns next to nothing.
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config."""
    config = default_config()
    config.export = True
    config.report = True

    config.model = ConfigDict()
    config.model.vocabulary_size = 257
    config.model.max_sequence_length = 128
    config.model.num_layers = 2
    config.model.hidden_dim = 16
    config.model.num_heads = 2
    config.model.key_dim = 8
    config.model.intermediate_dim = 32
    config.model.attention_layers = ("local", "lsh")
    config.model.chunk_length = 16
    config.model.local_chunk_length = 16
    config.model.num_hashes = 2
    config.model.dropout = 0.0
    config.model.attention_dropout = 0.0
    config.model.seed = 0

    config.data.validation_fraction = 0.0005

    config.optimizer.learning_rate = 1e-2
    config.optimizer.warmup_steps = 10

    config.train.steps = 40
    config.train.batch_size = 4
    config.train.sequence_length = 128
    config.train.log_every = 1
    config.train.eval_every = 20
    config.train.checkpoint_every = 10

    config.sample.tokens = 20
    return config

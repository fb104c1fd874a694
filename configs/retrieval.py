r"""Retrieval at the sizes of the Long Range Arena: are two excerpts of the standard library from one file, or from two?

    python -m trainer.task --config=configs/retrieval.py --workdir=/tmp/retrieval

One encoder reads both texts, byte by byte, and a head compares their vectors. The Arena's own data, citations of the
ACL Anthology, are no longer to be had; pairs of one's own are read from a file:

    python -m trainer.task --config=configs/retrieval.py --workdir=/tmp/pairs --config.data.name=labelled_text \
        --config.data.path=PAIRS.jsonl --config.data.pair_key=other --config.data.length=1024

Time: TIME
Result: RESULT
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config: width, depth, batch and steps of the Arena's code, whose texts have 4,000 bytes."""
    config = default_config()
    config.task = "classification"
    config.export = True
    config.report = True

    config.model = ConfigDict()
    config.model.vocabulary_size = 257
    config.model.max_sequence_length = 4096
    config.model.num_layers = 4
    config.model.hidden_dim = 128
    config.model.num_heads = 4
    config.model.key_dim = 32
    config.model.intermediate_dim = 512
    config.model.attention_layers = ("local", "lsh")  # Repeated.
    config.model.chunk_length = 64
    config.model.local_chunk_length = 64
    config.model.num_hashes = 2
    config.model.num_classes = 2
    config.model.pair = True
    config.model.pooling = "first"  # The vector of the boundary, as the Arena's CLS.
    config.model.dropout = 0.1
    config.model.attention_dropout = 0.1
    config.model.seed = 0

    config.data.name = "stdlib_pairs"
    config.data.layout = "padded"
    config.data.length = 4096
    config.data.validation_fraction = 0.1

    config.optimizer.learning_rate = 5e-4
    config.optimizer.warmup_steps = 1000  # The Arena's 8,000 are more than its 5,000 steps.
    config.optimizer.weight_decay = 0.1

    config.train.steps = 5000
    config.train.batch_size = 32
    config.train.sequence_length = 4096
    config.train.log_every = 10
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.train.best_metric = "accuracy"
    return config

r"""ListOps at the sizes of the Long Range Arena: the value of nested lists of digits, from 501 to 1,999 tokens.

    python -m trainer.task --config=configs/listops.py --workdir=/tmp/listops

In small, lists of 21 to 99 tokens at depth 5:

    python -m trainer.task --config=configs/listops.py --workdir=/tmp/small --config.data.min_length=20 \
        --config.data.max_length=100 --config.data.max_depth=5 --config.data.max_arguments=5 \
        --config.data.examples=40000 --config.data.length_buckets="()" --config.train.sequence_length=100 \
        --config.model.max_sequence_length=128 --config.model.num_layers=2 --config.model.hidden_dim=64 \
        --config.model.num_heads=4 --config.model.key_dim=16 --config.model.intermediate_dim=128 \
        --config.model.chunk_length=32 --config.model.local_chunk_length=32 --config.model.dropout=0.0 \
        --config.model.attention_dropout=0.0 --config.model.kernel_initializer=glorot_uniform \
        --config.optimizer.name=muon --config.optimizer.learning_rate=2e-2 --config.optimizer.adam_ratio=0.12 \
        --config.optimizer.beta_2=0.95 --config.optimizer.weight_decay=0.01 --config.optimizer.schedule=cosine \
        --config.optimizer.warmup_steps=100 --config.train.steps=4000

Time: the small run 4 min 30 s on 2 CPU cores (AMD EPYC with AVX-512). The whole config was not run; `--dry_run` says
what it takes.
Result: the small run has 37.2 % of 2,000 lists right (26.0, 27.1, 30.0, 30.0, 33.2, 35.6, 37.0, 37.2 % every 500 steps,
the learning rate ending at 0), where the most frequent label has 12.4 %; 23.2 % with all attention outputs set to zero.
The oracles that the report sets beside it read the outermost operator (25.3 %) and the operators of 1, 2 and 3 levels
(51.8, 72.9, 85.2 %): it is between the first two.
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

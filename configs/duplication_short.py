"""The duplication task at a quarter of the paper's length, for the paper's table on 2 CPU cores.

    python -m trainer.task --config=configs/duplication_short.py --workdir=/tmp/duplication_short

`python -m benchmarks.duplication` trains this with exact attention and with 4, 2 and 1 rounds, three seeds each.
A round sees at most 15 of up to 254 earlier tokens: chunks of 16 tokens and 32 buckets.

Time: about 3 minutes on 2 CPU cores (estimated from 60 ms a step).
Result: not run to its end yet.
"""

from ml_collections import ConfigDict

from configs import duplication


def get_config() -> ConfigDict:
    """Returns the config."""
    config = duplication.get_config()

    config.data.length = 256
    config.data.examples = 50_000

    config.model.max_sequence_length = 256
    config.model.hidden_dim = 128
    config.model.key_dim = 32
    config.model.intermediate_dim = 128
    config.model.chunk_length = 16
    config.model.num_buckets = 32  # About 8 tokens each.
    config.model.reversible = False  # One layer has nothing to save.

    config.optimizer.warmup_steps = 100

    config.train.steps = 3_000
    config.train.batch_size = 16
    config.train.sequence_length = 255
    config.train.jit_compile = True
    config.train.log_every = 50
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    return config

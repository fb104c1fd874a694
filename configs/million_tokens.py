"""Trains on one sequence of 1,048,576 bytes, 12 layers deep, in the memory of a small machine.

    python -m trainer.task --config=configs/million_tokens.py --workdir=/tmp/million_tokens

One example of exactly 1,048,576 targets (the first sources of the Python standard library, one after another) is the
batch of both steps, so that the second loss must be below the first. Nothing follows the last step.

Twice as wide, for one step:

    python -m trainer.task --config=configs/million_tokens.py --workdir=/tmp/million_wide --config.train.steps=1 \
        --config.model.hidden_dim=512 --config.model.num_heads=8 --config.model.intermediate_dim=2048

Local and LSH layers alternate. In a local layer each token attends to the 64 tokens before it; rotary embeddings of
queries and keys let it learn nearby context first, as in the quickstart. In an LSH layer each token attends to the last
64 tokens of its own bucket, wherever they are in the million. A local layer neither hashes nor sorts, so the model is
cheaper than one of LSH layers only. Those would need local rounds, which double their work, because a token that is the
only one in its bucket would attend to nothing else. The head is not tied to the embedding: a tied head begins at a loss
of about 14 nats instead of 5.5 (ln 257).

Time: 5 to 6 minutes a step on 2 CPU cores (AMD EPYC with AVX-512; 3,082 and 3,444 tokens/s), 11 minutes in all.
Result: the losses of the two steps are 5.528 and 4.426 nats a token; peak memory 7.6 GiB. Twice as wide, a step takes
15 minutes and peak memory is 13.0 GiB. At a length of 32,768 (`--config.train.sequence_length=32768`) the losses of
three steps in float32 are 5.54, 4.52 and 4.12.
"""

from ml_collections import ConfigDict

from trainer.config import default_config

LENGTH = 1_048_576


def get_config() -> ConfigDict:
    """Returns the config."""
    config = default_config()

    config.model = ConfigDict()
    config.model.vocabulary_size = 257
    config.model.max_sequence_length = LENGTH
    config.model.num_layers = 12
    config.model.hidden_dim = 256
    config.model.num_heads = 4
    config.model.key_dim = 64
    config.model.intermediate_dim = 1024
    config.model.attention_layers = ("local", "lsh")  # Repeated.
    config.model.chunk_length = 64
    config.model.local_chunk_length = 64
    config.model.num_hashes = 1
    config.model.local_round = False  # The local layer below does its work.
    config.model.tie_embeddings = False
    config.model.rotary = True  # In local layers.
    config.model.positions = "axial"
    config.model.dropout = 0.0
    config.model.attention_dropout = 0.0
    config.model.reversible = True
    config.model.seed = 0

    config.data.name = "python_stdlib"
    config.data.layout = "packed"
    config.data.train_windows = 1

    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "constant"
    config.optimizer.warmup_steps = 0

    config.train.steps = 2
    config.train.precision = "mixed_bfloat16"  # Residual streams, weights and statistics stay float32.
    config.train.batch_size = 1
    config.train.sequence_length = LENGTH
    config.train.log_every = 1
    config.train.log_memory = True
    config.train.eval_every = -1
    config.train.checkpoint_every = 1
    return config

"""The Reformer paper's duplication task at its length: `0 w 0 w` with 127 symbols, loss on the second `w` only.

    python -m trainer.task --config=configs/duplication.py --workdir=/tmp/duplication

The sizes are the paper's (section 5, table 2): one layer, width and feed-forward 256, 4 heads, length 1,024, LSH with 4
rounds whose rotations are redrawn each step, 150,000 steps. Learned positions, because one layer can only align the two
copies by a table that says for each position which one is its partner; an embedding that does not drown them; a head of
its own. For the models of the paper's table, `--config.model.num_hashes=1`, or exact attention by
`--config.model.attention_layers="('full',)" --config.model.attention_options.full.shared_query_key=True`.

Time: days on 2 CPU cores; meant for an accelerator. `configs/duplication_short.py` is the same at a length and with
steps that 2 cores finish in minutes, and `python -m benchmarks.duplication` makes the paper's table with it.
Result: not run to its end. 600 steps of exact attention with 4 rows left the plateau of chance, ln 127 = 4.84 nats, not
yet.
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config."""
    config = default_config()

    config.data.name = "duplication"
    config.data.layout = "padded"  # Each example is a sequence of its own.
    config.data.length = 1024
    config.data.symbols = 127
    config.data.examples = 200_000
    config.data.validation_examples = 1_000

    config.model = ConfigDict()
    config.model.vocabulary_size = 128  # The symbols and 0.
    config.model.max_sequence_length = 1024
    config.model.num_layers = 1
    config.model.hidden_dim = 256
    config.model.num_heads = 4
    config.model.key_dim = 64
    config.model.intermediate_dim = 256
    config.model.attention_layers = ("lsh",)
    config.model.chunk_length = 32
    config.model.num_hashes = 4
    config.model.num_buckets = 64  # About 16 tokens each.
    config.model.attention_options = ConfigDict({"lsh": {"local_round": False}})
    config.model.positions = "learned"
    config.model.embedding_scale = 1.0
    config.model.tie_embeddings = False
    config.model.dropout = 0.0
    config.model.attention_dropout = 0.0
    config.model.seed = 0

    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 3e-3
    config.optimizer.beta_2 = 0.98
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 1_000

    config.train.steps = 150_000
    config.train.batch_size = 64
    config.train.sequence_length = 1023  # Targets: all ids but the first.
    config.train.log_every = 100
    config.train.eval_every = 5_000
    config.train.checkpoint_every = 1_000
    return config

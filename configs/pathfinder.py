r"""Pathfinder at the sizes of the Long Range Arena: are two markers the ends of one dashed contour of 14 dashes?

    python -m trainer.task --config=configs/pathfinder.py --workdir=/tmp/pathfinder

The small variant is configs/pathfinder_easy.py.

Time: the whole config, 62,400 steps of 512 pictures, was not run; `--dry_run` says what it takes.
Result: not run. The Arena has 68.5 % for its Reformer, where chance has 50 % (Tay et al., 2021, table 1).
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config: pictures, batch, epochs, learning rate and sizes of the Reformer of the Arena's code."""
    config = default_config()
    config.task = "classification"
    config.export = True
    config.report = True

    config.model = ConfigDict()
    config.model.vocabulary_size = 256
    config.model.max_sequence_length = 1024
    config.model.num_layers = 2
    config.model.hidden_dim = 64
    config.model.num_heads = 8
    config.model.key_dim = 4
    config.model.intermediate_dim = 64
    config.model.attention_layers = ("local", "lsh")  # Repeated.
    config.model.chunk_length = 64
    config.model.local_chunk_length = 128  # Three rows of pixels above and below.
    config.model.num_hashes = 2
    config.model.rotary = True  # Of local layers: which neighbour a pixel is, wherever it is in the picture.
    config.model.embedding_scale = 1.0  # Otherwise grey levels begin 20 times as large as positions.
    config.model.num_classes = 2
    config.model.pooling = "mean"
    config.model.dropout = 0.2
    config.model.attention_dropout = 0.1
    config.model.seed = 0

    config.data.name = "pathfinder"
    config.data.layout = "padded"
    config.data.contour_length = 14
    config.data.examples = 160_000
    config.data.validation_examples = 20_000

    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 312  # An epoch.
    config.optimizer.clip_norm = 0.0

    config.train.steps = 62_400  # 200 epochs.
    config.train.batch_size = 512
    config.train.sequence_length = 1024
    config.train.log_every = 10
    config.train.eval_every = 624
    config.train.eval_examples = 2000
    config.train.checkpoint_every = 624
    config.train.best_metric = "accuracy"
    return config

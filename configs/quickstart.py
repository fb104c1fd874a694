"""Learns the text of Python's standard library, byte by byte, with local and LSH attention at 4,096 tokens.

    python -m trainer.task --config=configs/quickstart.py --workdir=/tmp/quickstart

Time: 4 min 40 s on 2 CPU cores (AMD EPYC with AVX-512), 3 min 30 s of it for training at about 8,000 tokens/s. On
cores without AVX-512 18 minutes were seen.
Result: 2.623 bits per byte on the validation documents of Python 3.11.7, whose entropies of order 0 and 1 are 4.732 and
3.443; 4.669 with all attention outputs set to zero. The last lines of the output report these figures, show a sample
and name the exported SavedModel, whose logits a fresh process compares with those of the model.
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
    config.model.max_sequence_length = 4096
    config.model.num_layers = 4
    config.model.hidden_dim = 192
    config.model.num_heads = 3
    config.model.key_dim = 64
    config.model.intermediate_dim = 768
    config.model.attention_layers = ("local", "lsh")  # Repeated.
    config.model.chunk_length = 64
    config.model.local_chunk_length = 64
    config.model.num_hashes = 1
    config.model.tie_embeddings = False
    config.model.rotary = True  # In local layers, which learn nearby context fastest so.
    config.model.positions = "none"
    config.model.dropout = 0.0
    config.model.attention_dropout = 0.0
    config.model.kernel_initializer = "glorot_uniform"  # Muon learns slower from the smaller default.
    config.model.seed = 0

    config.data.validation_fraction = 0.01

    config.optimizer.name = "muon"
    config.optimizer.learning_rate = 2.5e-2
    config.optimizer.adam_ratio = 0.12
    config.optimizer.beta_2 = 0.95
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 20
    config.optimizer.final_fraction = 0.05

    config.train.steps = 400
    config.train.batch_size = 1
    config.train.sequence_length = 4096
    config.train.log_every = 10
    config.train.checkpoint_every = 100

    config.sample.prompt = "def "
    config.sample.tokens = 400
    return config

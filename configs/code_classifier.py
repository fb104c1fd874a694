"""Which package of the standard library a snippet is from: a classifier on the language model of the quickstart.

(see docs)
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """Returns the config."""
    config = quickstart.get_config()
    config.task = "classification"

    del config.model.tie_embeddings  # Of a language model's head.
    config.model.max_sequence_length = 8192
    config.model.causal = True  # As the language model.
    config.model.pooling = "mean"
    config.model.num_classes = 4

    config.data.name = "labelled_text"
    config.data.layout = "padded"
    config.data.validation_fraction = 0.1

    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 5e-4
    config.optimizer.adam_ratio = 0.15
    config.optimizer.beta_2 = 0.98

    config.train.steps = 150
    config.train.batch_size = 16
    config.train.sequence_length = 256
    config.train.checkpoint_every = 50

    config.sample.prompt = ""
    return config

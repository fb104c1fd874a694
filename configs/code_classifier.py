r"""Which package of the standard library a snippet is from: a classifier on the language model of the quickstart.

    python -m trainer.task --config=configs/code_classifier.py --workdir=/tmp/classifier \
        --config.init_from=/tmp/longer --config.init_checkpoint=best --config.data.path=snippets.jsonl

after the commands that make both, which are in the README and in docs/fine_tuning.md. Other texts of up to 256 bytes
need `--config.model.num_classes` besides their file.

Time: 4 minutes on 2 CPU cores (AMD EPYC with AVX-512) that were busy with other work, 2 of them for training.
Result: 58.8 % of 400 validation snippets right, loss 0.994; 57.3 % and 1.033 without `init_from`, so a language model
of 2 million tokens is hardly better than random weights here. The most frequent label has 25.0 %; with all attention
outputs set to zero the model has 25.3 %.
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """Returns the config of the quickstart with what a classifier has instead."""
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

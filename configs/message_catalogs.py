r"""Translates the messages of programs from English to German, byte by byte, from the catalogues that packages ship.

    pip install --no-deps --target=/tmp/catalogs django wagtail django-oscar plone.app.locales
    python -m trainer.task --config=configs/message_catalogs.py --workdir=/tmp/message_catalogs

The extra `translation` reads the catalogues and computes BLEU. Any folder with gettext catalogues will do, for instance
that of a single package or `/usr/share/locale`, and any language: `--config.data.path`, `--config.data.pattern`.

Time: half an hour on one CPU core without AVX-512.
Result: not yet a translator. 7,475 messages of half a million bytes teach it words and endings, and few sentences: BLEU
7.8 on 100 messages that it has not seen, where each message as its own translation has 21.5 (docs/results.md).
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config."""
    config = default_config()
    config.task = "sequence_to_sequence"
    config.report = True

    config.model = ConfigDict()
    config.model.source_vocabulary_size = 257
    config.model.target_vocabulary_size = 257
    config.model.max_source_length = 160
    config.model.max_target_length = 160
    config.model.num_encoder_layers = 2
    config.model.num_decoder_layers = 2
    config.model.hidden_dim = 128
    config.model.num_heads = 4
    config.model.key_dim = 32
    config.model.intermediate_dim = 256
    config.model.encoder_attention_layers = ("local", "full")
    config.model.decoder_attention_layers = ("local", "full")
    config.model.local_chunk_length = 16
    config.model.share_embeddings = True
    config.model.label_smoothing = 0.1
    config.model.positions = "learned"
    config.model.dropout = 0.1
    config.model.attention_dropout = 0.1
    config.model.seed = 0

    config.data.name = "pairs"
    config.data.path = "/tmp/catalogs"
    config.data.pattern = "*/de/LC_MESSAGES/*.mo"
    config.data.layout = "padded"
    config.data.length_buckets = (24, 48, 80)
    config.data.group_by_length = True
    config.data.source_length = 128
    config.data.validation_fraction = 0.05

    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 200
    config.optimizer.final_fraction = 0.05

    config.train.steps = 2000
    config.train.batch_size = 32
    config.train.sequence_length = 160
    config.train.log_every = 50
    config.train.checkpoint_every = 200
    config.train.eval_every = 1000

    config.translation.examples = 100
    return config

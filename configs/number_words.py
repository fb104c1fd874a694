r"""Translates numbers in digits to German words, byte by byte: "40213" to "vierzigtausendzweihundertdreizehn".

    python -m trainer.task --config=configs/number_words.py --workdir=/tmp/number_words
    python -m trainer.generate --workdir=/tmp/number_words --prompt=40213

All of the 1,000 numbers to validate on, of which none was trained on, are translated by

    python -m trainer.evaluate --workdir=/tmp/number_words --config.translation.examples=-1

Time: 8 minutes on one CPU core without AVX-512 that other work took half of, 5 minutes of its time; with 4 evaluations
that translate 100 numbers each.
Result: 99.3 % of the 1,000 numbers are right letter by letter, and BLEU of their letters is 99.92; 10, 77, 95 and 99 of
the 100 numbers were right after 250, 500, 750 and 1,000 steps. With all attention outputs set to zero, BLEU is 12. A
single digit is what the model knows least, as there are only ten: it makes "siebenundsiebzig" of 7.
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
    config.model.max_source_length = 8
    config.model.max_target_length = 72
    config.model.num_encoder_layers = 2
    config.model.num_decoder_layers = 2
    config.model.hidden_dim = 64
    config.model.num_heads = 2
    config.model.key_dim = 32
    config.model.intermediate_dim = 128
    config.model.encoder_attention_layers = ("full",)  # Repeated.
    config.model.decoder_attention_layers = ("local",)
    config.model.local_chunk_length = 16
    config.model.positions = "learned"
    config.model.tie_embeddings = False
    config.model.dropout = 0.0
    config.model.attention_dropout = 0.0
    config.model.seed = 0

    config.data.name = "number_words"
    config.data.layout = "padded"
    config.data.source_length = 6

    config.optimizer.learning_rate = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 50
    config.optimizer.final_fraction = 0.05

    config.train.steps = 1000
    config.train.batch_size = 32
    config.train.sequence_length = 68
    config.train.log_every = 50
    config.train.eval_every = 250
    config.train.checkpoint_every = 250

    config.translation.bleu_tokenizer = "char"  # Targets are single words.
    return config

r"""Translates English to German as the Reformer paper's reversible base model does (Kitaev et al., 2020, section 5).

TensorFlow Datasets prepares the pairs, `wmt14_translate/de-en`. First they are written to a file and the pieces of both
languages are learnt from it, then comes the run on 8 accelerators, with 256 pairs each (`mirrored` on GPUs):

    python -c 'import json, tensorflow_datasets as tfds
    for pair in tfds.as_numpy(tfds.load("wmt14_translate/de-en", split="train")):
        print(json.dumps({"source": pair["en"].decode(), "target": pair["de"].decode()}))' > /tmp/wmt14.jsonl
    python -m trainer.vocabulary --input=/tmp/wmt14.jsonl --size=33300 --output=/tmp/wmt14 --sentences=4000000
    python -m trainer.task --config=configs/wmt14_en_de.py --workdir=/tmp/wmt14_en_de \
        --config.data.sentencepiece_model=/tmp/wmt14.model --config.strategy=tpu --config.train.batch_size=2048

BLEU of newstest2014, 3,003 sentences, by the mean of the last five checkpoints:

    python -m trainer.evaluate --workdir=/tmp/wmt14_en_de --average_checkpoints=5 --config.translation.examples=-1 \
        --config.data.tfds_validation_split=test

The settings are those of the authors' code (Trax, `reformer_wmt_ende.gin`): full attention throughout, 6 + 6 layers,
and Adam with 0.9, 0.98, 1e-9. Its learning rate is `0.088 * min(1, s / w) / sqrt(max(s, w))` in step s, with w = 8,000
steps of warm-up. The schedule `inverse_square_root` is the same as a fraction of its highest rate, which is that of
step w: `learning_rate = 0.088 / sqrt(8000) = 9.84e-4`. The paper's second base model makes 500,000 steps and shares no
embeddings: `--config.train.steps=500000 --config.model.share_embeddings=False`.

What differs: Trax has 256 rows a device of up to 32 tokens and halves them where lengths double, which keeps the number
of tokens; here a batch has as many rows at each length, and `length_buckets` with `group_by_length` leave out padding.
Its vocabulary is of subwords of another algorithm.

Time: not run here, where there are neither accelerators nor the data; `--dry_run` says what a step takes.
Result: none of our own. The paper has a BLEU of 27.6 after 100,000 steps, and 28.0 after 500,000 without sharing.
"""

from ml_collections import ConfigDict

from trainer.config import default_config


def get_config() -> ConfigDict:
    """Returns the config."""
    config = default_config()
    config.task = "sequence_to_sequence"
    config.report = True

    config.model = ConfigDict()
    config.model.source_vocabulary_size = 33_300
    config.model.target_vocabulary_size = 33_300
    config.model.max_source_length = 512  # In evaluation and generation; training reads 256.
    config.model.max_target_length = 512
    config.model.num_encoder_layers = 6
    config.model.num_decoder_layers = 6
    config.model.hidden_dim = 512
    config.model.num_heads = 8
    config.model.key_dim = 64
    config.model.intermediate_dim = 2048
    config.model.encoder_attention_layers = ("full",)  # Repeated.
    config.model.decoder_attention_layers = ("full",)
    config.model.share_embeddings = True
    config.model.label_smoothing = 0.1
    config.model.activation = "relu"
    config.model.positions = "sinusoidal"
    config.model.dropout = 0.1
    config.model.attention_dropout = 0.1
    config.model.seed = 0

    config.data.name = "pairs"
    config.data.tfds_name = "wmt14_translate/de-en"
    config.data.source_key = "en"
    config.data.target_key = "de"
    config.data.tokens = "sentencepiece"  # --config.data.sentencepiece_model names the file.
    config.data.layout = "padded"
    config.data.length_buckets = (32, 64, 128)
    config.data.group_by_length = True
    config.data.source_length = 256

    config.optimizer.learning_rate = 0.088 / 8000**0.5
    config.optimizer.schedule = "inverse_square_root"
    config.optimizer.warmup_steps = 8000
    config.optimizer.clip_norm = 0.0

    config.train.steps = 100_000
    config.train.batch_size = 256  # Times the number of devices.
    config.train.sequence_length = 256
    config.train.precision = "mixed_bfloat16"
    config.train.log_every = 100
    config.train.eval_every = 5000
    config.train.checkpoint_every = 1000
    config.train.keep_checkpoints = 20

    config.translation.examples = 300
    return config

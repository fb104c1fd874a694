"""Makes a run of published weights: `python -m trainer.convert --from=huggingface --source=DIR --workdir=DIR2`.

DIR holds a Reformer language model as transformers saves it (`config.json` and `model.safetensors`); with
`--from=trax`, `--source` is a checkpoint of Trax and `--preset` names the model. The tokenizer is `spiece.model` if DIR
has one (the package sentencepiece must be installed). Otherwise ids are bytes: as in the released enwik8 model if the
model has its 258 ids, else numbered from 0. `--tokens` names another tokenizer.

DIR2 is then the folder of a run at step 0, for `trainer.evaluate`, `trainer.generate` and `trainer.export`, and

    python -m trainer.task --workdir=DIR2 --config.data.name=text --config.data.path=TEXT

continues training with the settings in `DIR2/config.json`, all of which can be overridden.
"""

from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

import contextlib
import os
import pathlib
import shutil

import keras
from absl import app, flags
from ml_collections import ConfigDict

from reformer_tf import local_paths, models, pretrained
from trainer import config as configs
from trainer import config_checks, exits
from trainer.commands import console
from trainer.data import tokenizers
from trainer.storage import finite_check, named_variables
from trainer.storage.workdir import Workdir

_FROM = flags.DEFINE_enum("from", None, ["huggingface", "trax"], "Whose weights they are.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "Folder of the weights, or file of a Trax checkpoint.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the new run.", required=True)
_TOKENS = flags.DEFINE_enum(
    "tokens",
    None,
    tokenizers.NAMES,
    "Tokenizer of the model; by default the one that its files and number of ids suggest.",
)
_HEAD_BIAS = flags.DEFINE_bool("head_bias", True, "Whether the head's bias is applied; transformers 5 ignores it.")
_PRESET = flags.DEFINE_string("preset", None, "Of a Trax checkpoint: name of the preset with the model's arguments.")

# Arguments that `config.model` does not have: those of Keras, and the dtype, which `config.train.precision` sets.
_OMITTED = ("name", "trainable", "dtype")
_SENTENCEPIECE_FILE = "spiece.model"  # As transformers calls it.
_LONGEST_WINDOW = 4096


def convert(
    model: keras.Model,
    workdir: str | os.PathLike[str],
    tokenizer: str | None = None,
    sentencepiece_model: str | os.PathLike[str] | None = None,
) -> ConfigDict:
    """Writes a model as a run at step 0.

    Args:
        model: A model that `reformer_tf.pretrained` loaded.
        workdir: Folder of the run; new, or without a run.
        tokenizer: Name of the model's tokenizer in `trainer.data.tokenizers`. None for `"sentencepiece"` if there is a
            `sentencepiece_model`, else for the tokenizer of bytes that the number of ids suggests.
        sentencepiece_model: File of a SentencePiece model, which is copied to the run.

    Returns:
        The config of the run.

    Raises:
        ValueError: If the model is no causal language model of bytes, if a weight is not finite, or if there is a run
            in the folder.
    """
    if not isinstance(model, models.ReformerCausalLM):
        raise ValueError(
            "The trainer's runs are of causal language models; use other models through"
            f" reformer_tf.pretrained.from_huggingface. Received: a {type(model).__name__}"
        )
    config = configs.default_config()
    config.model = ConfigDict({name: value for name, value in model.get_config().items() if name not in _OMITTED})
    config.data.tokens = tokenizer or _choose_tokenizer(config.model.vocabulary_size, sentencepiece_model is not None)
    if config.data.tokens == tokenizers.SENTENCEPIECE:
        if sentencepiece_model is None:
            raise ValueError(
                f"`source` must hold {_SENTENCEPIECE_FILE} for `tokens` sentencepiece. Received: no such file"
            )
        config.data.sentencepiece_model = str(sentencepiece_model)
    # For weights that are trained already: a small learning rate and long sequences.
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "constant"
    config.train.sequence_length = min(config.model.max_sequence_length, _LONGEST_WINDOW)
    config.train.batch_size = 1
    config_checks.check_config(config)
    weights = named_variables.values(named_variables.named_variables(model))
    try:
        finite_check.check(weights)
    except finite_check.NotFiniteArraysError as error:
        raise ValueError(f"`source` must hold weights that are finite. Received: {error}") from error
    folder = _folder_without_a_run(workdir)
    folder.lock()
    written: list[pathlib.Path] = []
    try:
        if config.data.sentencepiece_model:
            copy = folder.root.resolve() / _SENTENCEPIECE_FILE
            if not (copy.exists() and copy.samefile(config.data.sentencepiece_model)):
                written.append(copy)
                shutil.copyfile(config.data.sentencepiece_model, copy)
            config.data.sentencepiece_model = str(copy)
        folder.checkpoints().save(0, weights, {"data": {}})
        written.extend(folder.checkpoints().folder.glob("*"))
        configs.write_config(config, folder.config)  # Last, because the config makes the folder a run.
    except BaseException:
        with contextlib.suppress(OSError):
            for path in written:
                path.unlink(missing_ok=True)
            folder.checkpoints().folder.rmdir()
        folder.abandon()
        raise
    folder.unlock()
    return config


def _folder_without_a_run(workdir: str | os.PathLike[str]) -> Workdir:
    folder = Workdir(workdir)
    if folder.config.exists():
        raise ValueError(f"`workdir` must be a folder without a run. Received: {folder.root}, which has a config.json")
    if any(folder.checkpoints().steps()):  # Step 0 does not count: a conversion that was killed leaves it.
        raise ValueError(f"`workdir` must be a folder without a run. Received: {folder.root}, which has checkpoints")
    return folder


def _choose_tokenizer(vocabulary_size: int, has_sentencepiece: bool) -> str:
    """Names SentencePiece if there is a model of it, else the byte tokenizer with so many ids, or plain bytes."""
    if has_sentencepiece:
        return tokenizers.SENTENCEPIECE
    if vocabulary_size < tokenizers.BYTES.vocabulary_size:
        raise ValueError(
            f"A model of bytes must have at least {tokenizers.BYTES.vocabulary_size} ids. One of SentencePiece needs "
            f"{_SENTENCEPIECE_FILE} in `source`; others can be used through reformer_tf.pretrained, which takes and "
            f"gives ids. Received: vocabulary_size={vocabulary_size}"
        )
    by_size = {tokenizer.vocabulary_size: name for name, tokenizer in tokenizers.BYTE_TOKENIZERS.items()}
    return by_size.get(vocabulary_size, "bytes")


def _load(source: pathlib.Path) -> keras.Model:
    if _FROM.value == "huggingface":
        return pretrained.from_huggingface(source, head_bias=_HEAD_BIAS.value)
    if _PRESET.value is None:
        raise ValueError("`preset` must name the model of a Trax checkpoint. Received: none")
    return pretrained.from_trax(source, preset=_PRESET.value)


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        _folder_without_a_run(_WORKDIR.value)  # Before large files are read.
        source = local_paths.checked("`source`", _SOURCE.value)
        sentencepiece_model = source / _SENTENCEPIECE_FILE
        config = convert(
            _load(source), _WORKDIR.value, _TOKENS.value, sentencepiece_model if sentencepiece_model.is_file() else None
        )
    except (ValueError, OSError) as error:
        return console.refuse(error)
    model = config.model
    print(
        f"{_WORKDIR.value}: {model.num_layers} layers of width {model.hidden_dim}, sequences up to"
        f" {model.max_sequence_length:,}, {model.vocabulary_size} ids of which text uses {config.data.tokens}."
    )
    return exits.DONE


if __name__ == "__main__":
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

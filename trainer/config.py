"""The config of a run: every field with its default, and how it is written to a file and read back."""

import json
import os
import pathlib
from typing import Any

from ml_collections import ConfigDict, config_dict

from trainer import atomic, config_kinds, json_text

# Values of fields in runs that are older than the field, where these differ from the defaults.
_BEFORE: dict[str, dict[str, Any]] = {"data": {"validation_rule": "whole_documents"}}


def default_config() -> ConfigDict:
    """Makes a config with every field a run knows, for a file in `configs/` to fill in.

    Only `config.model` is empty: it is exactly the keyword arguments of the task's model, see `trainer.tasks`.

    Returns:
        An unlocked config.

    Example:
        >>> config = default_config()
        >>> config.train.steps = 100
    """
    config = ConfigDict()
    config.task = "language_model"  # See trainer.tasks.
    config.strategy = "one_device"  # or "mirrored", "multi_worker", "parameter_server", "tpu"
    config.tpu_address = "local"  # tpu: or "grpc://HOST:PORT", or the name of a TPU in Google Cloud.
    config.logical_devices = 0  # Number of devices that one CPU is split into, to try out "mirrored"; 0: no split.
    config.export = False  # Writes WORKDIR/export/1/ at the end and checks it.
    config.report = False  # Ends with reference lines, an ablation and a sample.
    config.model = ConfigDict()

    config.init_from = ""  # Folder of another run, whose weights this one begins with; empty: random weights.
    config.init_checkpoint = "newest"  # init_from: of which checkpoint, or "best", or the number of a step.
    config.init_partial = False  # init_from: takes what fits. Otherwise the whole backbone must fit.
    config.init_positions = ""  # init_from: "tile" repeats the positions for a longer model; empty: they must fit.

    config.data = default_data_config()

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"  # or "adafactor", "muon"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "inverse_square_root"  # or "cosine", "constant"; all with a linear warm-up
    config.optimizer.warmup_steps = 100
    config.optimizer.schedule_steps = 0  # Where the cosine ends; 0: after the steps of the run's first start.
    config.optimizer.final_fraction = 0.0  # Learning rate at the end of the cosine, over the highest.
    config.optimizer.clip_norm = 1.0  # Largest norm of the whole gradient; 0 for no clipping.
    config.optimizer.weight_decay = 0.0  # Times the learning rate; not on biases and scales.
    config.optimizer.weight_decay_exclusions = ()  # Also not on these: expressions for paths, such as ("embedding",).
    config.optimizer.ema_momentum = 0.0  # Momentum of a moving average of the weights, used instead of them; 0: none.
    config.optimizer.beta_1 = 0.9
    config.optimizer.beta_2 = 0.98
    config.optimizer.epsilon = 1e-9
    config.optimizer.adam_ratio = 0.15  # muon: learning rate of what it leaves to Adam, over its own.

    config.train = config_kinds.Group()
    config.train.steps = 1000
    config.train.batch_size = 8  # Rows of all replicas together.
    config.train.sequence_length = 1024
    config.train.seed = 0  # Seeds the permutations of the examples, the dropout and the rotations.
    config.train.precision = "float32"  # or "mixed_bfloat16", "mixed_float16"
    config.train.loss_scale = 2.0**15  # mixed_float16: to begin with; halves when a gradient overflows.
    config.train.loss_scale_growth_steps = 2000  # mixed_float16: it doubles after so many steps without overflow.
    config.train.max_skipped_steps = 0  # Steps of the whole run that may be not finite; 0: stop at the first.
    config.train.jit_compile = "auto"  # True, False, or "auto": whether XLA compiles the step; auto: on an accelerator.
    config.train.accumulation_steps = 1  # Number of parts of a replica's batch, computed one after another.
    config.train.outstanding_steps = 1  # parameter_server: steps in flight; more than 1 is asynchronous.
    config.train.log_every = 10
    config.train.log_memory = False  # Writes the peak memory of the process beside the loss.
    config.train.eval_every = 0  # 0: only at the end; -1: never
    config.train.eval_examples = 0  # Number of validation examples, at equal distances; 0: all.
    config.train.early_stopping_evaluations = 0  # Ends after so many evaluations without improvement; 0: never.
    config.train.early_stopping_metric = "loss"  # or a metric of the task, such as "bits_per_byte"; of the validation.
    config.train.early_stopping_min_improvement = 0.0  # A smaller change is no improvement.
    config.train.checkpoint_every = 100
    config.train.checkpoint_minutes = 0.0  # Also saves when the last checkpoint is so many minutes old; 0: never.
    config.train.keep_checkpoints = 3  # Number of newest ones; the best stays, too.
    config.train.best_metric = "loss"  # By which the best is chosen: or a metric of the task, of the validation.
    config.train.deterministic_ops = False
    config.train.profile_start = 0  # First step to profile; the trace is for TensorBoard.
    config.train.profile_steps = 0  # 0: no profile

    config.masking = ConfigDict()  # masked_language_model: see trainer.data.masking.
    config.masking.fraction = 0.15  # Of the tokens, to be predicted.
    config.masking.mask_fraction = 0.8  # Of these, replaced by the mask.
    config.masking.random_fraction = 0.1  # Of these, replaced by a random id. The rest stays.

    config.translation = ConfigDict()  # sequence_to_sequence: translations of an evaluation, and the sample's.
    config.translation.examples = 100  # Evaluated pairs to translate for BLEU, at equal distances; 0: none, -1: all.
    config.translation.bleu_tokenizer = "13a"  # or "intl", "zh", "char", "none", see sacrebleu
    config.translation.sampler = "beam"  # or "greedy"
    config.translation.num_beams = 4  # beam
    config.translation.length_penalty = 0.6  # beam: above 0, longer translations are preferred.
    config.translation.max_new_tokens = 0  # The most tokens of a translation; 0: as many as the model can.

    config.sample = ConfigDict()
    config.sample.prompt = ""
    config.sample.tokens = 400
    config.sample.temperature = 0.8
    return config


def default_data_config() -> ConfigDict:
    """Returns `config.data` with every field at its default."""
    config = ConfigDict()
    # python_stdlib, text, tfds, tokens, duplication, labelled_text, pairs, number_words, listops, pathfinder,
    # stdlib_tests, stdlib_pairs, or a name of trainer.register_corpus
    config.name = "python_stdlib"
    config.module = ""  # Python module that is imported first, where it calls trainer.register_corpus
    config.layout = "packed"  # packed or padded, see Examples
    config.tokens = "bytes"  # bytes (257 ids), shifted_bytes (258: the released enwik8 model's) or sentencepiece
    config.sentencepiece_model = ""  # sentencepiece: file of the model
    config.separate_documents = False  # packed: whether tokens attend only to those of their own document
    config.length_buckets = ()  # padded: shorter lengths that a batch may be cut to, such as (256, 1024)
    config.group_by_length = False  # length_buckets: whether a training batch holds examples of similar length
    config.source_length = 0  # pairs of texts: ids of a source, as config.train.sequence_length of a target; 0: that
    config.train_windows = 0  # trains only on the first so many full examples; 0: on all, also short ones
    # of the bytes, ids, labelled examples or pairs, where the corpus has no validation part of its own
    config.validation_fraction = 0.02
    # text, tokens, and tfds without a validation split: documents_and_ends or whole_documents, see
    # trainer.data.corpora.validation; empty: the rule that the run began with, for a new run documents_and_ends
    config.validation_rule = ""
    # text, tokens: a folder (all its files of text or of ids, recursively) or one file; labelled_text: a .jsonl, .csv
    # or .tsv file; pairs: a file of these, or of gettext (.po, .mo), or a folder of them
    config.path = ""
    # text, tokens, pairs: which file names of a folder to take; with a slash which paths in it, such as "*/de/*.mo"
    config.pattern = "*"
    config.any_bytes = False  # text: takes files that are no text too, see trainer.data.corpora.text_or_binary
    # text, tokens, labelled_text, pairs: a folder or file that is the validation part; empty: split config.path
    config.validation_path = ""
    config.text_key = "text"  # labelled_text: the key, column or feature of the texts
    config.pair_key = ""  # labelled_text: that of the second texts; empty: single texts
    config.label_key = "label"  # labelled_text: that of the labels
    config.source_key = "source"  # pairs: the key, column or feature of the sources
    config.target_key = "target"  # pairs: that of the targets
    # labelled data: the labels in the order of the classes; empty: what the data says, kept with the run
    config.labels = ()
    config.ids_dtype = ""  # tokens: what .bin files hold, such as "uint16"
    config.ids_feature = "ids"  # tokens: the name of the ids in TFRecord files
    config.examples = 10_000  # made data: number of examples to train on
    config.validation_examples = 1_000  # made data: number of examples to validate on
    # duplication: ids of an example, even; config.train.sequence_length is one less, or more
    # stdlib_tests, stdlib_pairs: ids of an excerpt, with its boundary
    config.length = 1024
    config.symbols = 127  # duplication: number of ids that are not 0
    # made data: decides the examples; config.train.seed only their sequence
    config.seed = 0
    config.min_length = 500  # listops: lists have more tokens than this
    config.max_length = 2000  # listops: and fewer than this
    config.max_depth = 10  # listops: of lists in lists
    config.max_arguments = 10  # listops: of an operator
    config.contour_length = 14  # pathfinder: dashes of a contour; 6 is easy, 9 intermediate, 14 hard
    config.distractors = -1  # pathfinder: shorter contours beside the two; -1: 20 dashes of them
    # tfds, and labelled_text and pairs without a path: the data set, such as "lm1b" or "wikipedia/20230601.en:1.0.0"
    config.tfds_name = ""
    config.tfds_text_key = "text"  # tfds: the feature that holds the text
    config.tfds_train_split = "train"  # tfds: split, slices such as "train[:10%]" too
    config.tfds_validation_split = "validation"  # tfds: split; empty: documents of the train split
    config.tfds_download = True  # tfds: prepare the data set if it is not there
    config.data_dir = ""  # tfds: where prepared data is kept; empty: its own default
    return config


def write_config(config: ConfigDict, path: str | os.PathLike[str]) -> None:
    """Writes `config` to `path` as JSON."""
    atomic.write_text(path, json.dumps(as_dict(config), indent=2, sort_keys=True) + "\n")


def read_config(path: str | os.PathLike[str]) -> ConfigDict:
    """Reads a config that `write_config` wrote.

    Args:
        path: A `config.json`.

    Returns:
        An unlocked config. Lists are tuples, and fields that are `None` take any literal, so flags can override both.

    Raises:
        ValueError: If the file is missing, is not JSON, or has fields that are unknown or of another kind.
        OSError: If it cannot be read.
    """
    try:
        fields = json_text.parse_object(pathlib.Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"`workdir` must be a folder that a run made, with a config.json. Received: {path}") from error
    except ValueError as error:
        raise ValueError(f"The config of a run must be JSON. Received: {path}: {error}") from error
    try:
        return _with_every_field(fields)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be the config of a run: {error}") from error


def as_dict(config: ConfigDict) -> dict[str, Any]:
    """Converts a config to JSON types: lists for tuples and `None` for placeholders."""
    return json.loads(config.to_json())


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "config.") -> dict[str, tuple[Any, Any]]:
    """Compares two configs in the form of `as_dict`.

    Args:
        old: The earlier config.
        new: The later config.
        prefix: Prefix of the names of the fields.

    Returns:
        Earlier and later value by full name of the field. A field that is missing counts as `None`.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            found.update(differences(before, now, f"{prefix}{key}."))
        elif before != now:
            found[f"{prefix}{key}"] = (before, now)
    return found


def _with_every_field(fields: dict[str, Any]) -> ConfigDict:
    """Makes a config of the fields in a file. A field that is missing, as in an older run, takes its default."""
    known = default_config()
    fields = config_kinds.completed(fields, known)
    for name, defaults in known.items():
        if isinstance(defaults, ConfigDict) and isinstance(fields[name], dict):
            fields[name] = config_kinds.completed({**_BEFORE.get(name, {}), **fields[name]}, defaults)
    config_kinds.check(fields, known)
    config = ConfigDict({key: _overridable(value) for key, value in fields.items()})
    config.train = config_kinds.Group(config.train)
    return config


def _overridable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _overridable(part) for key, part in value.items()}
    if isinstance(value, list):
        return tuple(_overridable(part) for part in value)
    return config_dict.placeholder(object) if value is None else value

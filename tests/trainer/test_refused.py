"""A bad config is refused before any work, by the name of the field, and changes nothing."""

import json

import pytest
from ml_collections import ConfigDict

from tests.trainer import runs
from trainer.config_checks import check_batch, check_config
from trainer.training.run import Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("strategy", "both", "`config.strategy` must be one of .* Received: 'both'"),
        ("tpu_address", "10.0.0.1", "`config.tpu_address` must be .local. .* Received: .10.0.0.1."),
        ("logical_devices", -1, "`config.logical_devices` must not be negative. Received: -1"),
        ("train.steps", 0, "`config.train.steps` must be at least 1. Received: 0"),
        ("train.batch_size", 0, "`config.train.batch_size` must be at least 1. Received: 0"),
        ("train.accumulation_steps", 0, "`config.train.accumulation_steps` must be at least 1. Received: 0"),
        ("train.sequence_length", 0, "`config.train.sequence_length` must be from 1 to .*, 64. Received: 0"),
        ("train.sequence_length", 65, "must be from 1 to `config.model.max_sequence_length`, 64. Received: 65"),
        ("train.seed", -1, "`config.train.seed` must be from 0 to .* Received: -1"),
        (
            "train.precision",
            "float16",
            "`config.train.precision` must be one of .* Received: 'float16'",
        ),
        ("train.loss_scale", 3.0, "`config.train.loss_scale` must be a power of two from 1 to 16777216. Received: 3.0"),
        ("train.loss_scale_growth_steps", 0, "`config.train.loss_scale_growth_steps` must be at least 1. Received: 0"),
        ("train.max_skipped_steps", -1, "`config.train.max_skipped_steps` must not be negative. Received: -1"),
        ("train.keep_checkpoints", 0, "`config.train.keep_checkpoints` must be at least 1. Received: 0"),
        ("train.log_every", 0, "`config.train.log_every` must be at least 1. Received: 0"),
        ("train.checkpoint_every", 0, "`config.train.checkpoint_every` must be at least 1. Received: 0"),
        ("train.checkpoint_minutes", -1.0, "`config.train.checkpoint_minutes` must not be negative. Received: -1.0"),
        (
            "train.checkpoint_minutes",
            float("inf"),
            "`config.train.checkpoint_minutes` must be a finite number. Received: inf",
        ),
        ("train.eval_examples", -1, "`config.train.eval_examples` must not be negative. Received: -1"),
        ("train.early_stopping_evaluations", -1, "_evaluations` must not be negative. Received: -1"),
        (
            "train.early_stopping_metric",
            "recall",
            "_metric` must be one of loss, bits_per_byte, accuracy. Received: 'recall'",
        ),
        (
            "train.early_stopping_min_improvement",
            float("nan"),
            "_min_improvement` must be a finite number. Received: nan",
        ),
        ("train.eval_every", -2, "`config.train.eval_every` must be at least -1, which means never. Received: -2"),
        ("optimizer.name", "sgd", "`config.optimizer.name` must be one of adafactor, adam, muon. Received: 'sgd'"),
        ("optimizer.schedule", "linear", "`config.optimizer.schedule` must be one of .* Received: 'linear'"),
        ("optimizer.learning_rate", 0.0, "`config.optimizer.learning_rate` must be above 0. Received: 0.0"),
        ("optimizer.beta_2", 1.0, "`config.optimizer.beta_2` must be at least 0 and below 1. Received: 1.0"),
        ("optimizer.clip_norm", -1.0, "`config.optimizer.clip_norm` must not be negative. Received: -1.0"),
        ("optimizer.final_fraction", 2.0, "`config.optimizer.final_fraction` must be from 0 to 1. Received: 2.0"),
        (
            "optimizer.ema_momentum",
            1.0,
            "`config.optimizer.ema_momentum` must be at least 0 and below 1. Received: 1.0",
        ),
        (
            "optimizer.weight_decay_exclusions",
            ("embedding", "(position"),
            r"`config.optimizer.weight_decay_exclusions` must be regular expressions, .* Received: .*'\(position'",
        ),
        (
            "data.length_buckets",
            (32, 16),
            r"`config.data.length_buckets` must be positive integers in ascending order.*, 64. Received: \(32, 16\)",
        ),
        ("data.length_buckets", (65,), r"none above `config.train.sequence_length`, 64. Received: \(65,\)"),
        ("data.length_buckets", (16,), r"must be empty unless `config.data.layout` is 'padded'. Received: \(16,\)"),
        ("sample.temperature", 0.0, "`config.sample.temperature` must be above 0. Received: 0.0"),
        ("model.vocabulary_size", 256, "`config.model.vocabulary_size` must be at least 257 .* Received: 256"),
        (
            "model.dtype",
            "float16",
            "`config.model` must not have `dtype`: set `config.train.precision`.*'float16'",
        ),
        (
            "model.depth",
            3,
            "`config.model` must hold arguments of .*num_layers.*Received: depth",
        ),
        ("model.causal", False, "`config.model` must hold arguments of .*Received: causal"),
        ("model.num_hash", 3, "Received: num_hash; did you mean `num_hashes`?"),
        ("model.axial_shape", 8, "axial_shape must be a list of sizes"),
        ("model.attention_layers", (3,), "`config.model` must hold what .*: attention_layers must name kinds .*: 3"),
        ("model.attention_options", {"lsh": {}}, "attention_options must be for kinds that .* Received: 'lsh'"),
        (
            "model.embedding_scale",
            float("inf"),
            "`config.model.embedding_scale` must be a finite number. Received: inf",
        ),
        ("optimizer.learning_rate", float("inf"), "`config.optimizer.learning_rate` must be a finite number"),
        ("optimizer.clip_norm", float("nan"), "`config.optimizer.clip_norm` must be a finite number. Received: nan"),
        ("train.stps", 3, "`config.train` must have fields that there are. Received: `stps`; did you mean `steps`?"),
        ("data.path", "gs://bucket/text", "`config.data.path` must be a path in the file system of this machine"),
        ("data.validation_path", "~no-such-user-here", "`config.data.validation_path` must not begin with"),
        ("data.data_dir", "s3://bucket", "`config.data.data_dir` must be a path in the file system of this machine"),
    ],
)
def test_a_config_that_cannot_be(corpus, field, value, message):
    config = runs.make_config(corpus)
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)


def test_steps_with_parameter_servers_are_not_compiled(corpus, monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    config = runs.make_config(corpus)
    config.strategy = "parameter_server"
    check_config(config)
    config.train.jit_compile = True
    with pytest.raises(ValueError, match="`config.train.jit_compile` must not be True where `config.strategy` is 'par"):
        check_config(config)


def test_names_of_data_sets_are_no_paths_and_their_buckets_are_read_by_tensorflow_datasets(corpus):
    config = runs.make_config(corpus)
    config.data.name, config.data.tfds_name, config.data.data_dir = "tfds", "text:/x://y", "gs://tfds-data/datasets"
    check_config(config)
    config.data.data_dir = "s3://bucket"
    with pytest.raises(ValueError, match="`config.data.data_dir` must be a path in the file system of this machine"):
        check_config(config)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_layers", "1", "num_layers must be a positive integer. Received: num_layers='1'"),
        ("max_sequence_length", None, "max_sequence_length must be a positive integer"),
        ("attention_layers", 3, "not iterable"),
        ("attention_layers", "lsh", "attention_layers must be a list of kinds"),
        ("attention_options", 3, "attention_options must be a dict"),
        ("gated", "yes", "gated must be True or False"),
        ("num_buckets", "8", "num_buckets must be a positive even integer"),
    ],
)
def test_arguments_of_the_model_of_another_kind(corpus, name, value, message):
    config = runs.make_config(corpus)
    config.model = ConfigDict({**config.model.to_dict(), name: value})
    with pytest.raises(ValueError, match=f"`config.model` must hold what the model takes: .*{message}"):
        check_config(config)


def test_a_group_that_lacks_a_field(corpus):
    config = runs.make_config(corpus)
    del config.train["seed"]
    with pytest.raises(ValueError, match="`config.train` must have the field `seed`. Received: accumulation_steps, "):
        check_config(config)


def test_a_report_without_an_evaluation(corpus):
    config = runs.make_config(corpus)
    config.train.eval_every = -1
    check_config(config)
    config.report = True
    with pytest.raises(ValueError, match="`config.train.eval_every` must not be -1 where `config.report` is True"):
        check_config(config)


@pytest.mark.parametrize("every", [0, -1])
def test_early_stopping_without_evaluations(corpus, every):
    config = runs.make_config(corpus)
    config.train.early_stopping_evaluations = 2
    check_config(config)
    config.train.eval_every = every
    rule = "`config.train.eval_every` must be at least 1 where `config.train.early_stopping_evaluations` is above 0"
    with pytest.raises(ValueError, match=f"{rule}. Received: {every}"):
        check_config(config)


def test_a_sample_that_is_too_long(corpus):
    config = runs.make_config(corpus)
    config.report, config.sample.prompt, config.sample.tokens = True, "abc", 61
    with pytest.raises(ValueError, match="`config.sample.tokens` must be at most 60, .* Received: 61"):
        check_config(config)


def test_a_model_without_sizes(corpus):
    config = runs.make_config(corpus)
    del config.model["max_sequence_length"]
    with pytest.raises(ValueError, match="`config.model` must have `max_sequence_length`. Received: attention_drop"):
        check_config(config)


@pytest.mark.parametrize(("batch_size", "accumulation_steps", "replicas"), [(3, 1, 2), (4, 4, 2), (5, 2, 1)])
def test_a_batch_that_cannot_be_divided(corpus, batch_size, accumulation_steps, replicas):
    config = runs.make_config(corpus)
    config.train.batch_size, config.train.accumulation_steps = batch_size, accumulation_steps
    product = f"{replicas} x {accumulation_steps} = {replicas * accumulation_steps}"
    with pytest.raises(ValueError, match=f"must be divisible by .*, {product}. Received: {batch_size}"):
        check_batch(config, replicas)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.attention_layers", ("global",), "attention_layers must name kinds among .* Received: 'global'"),
        ("model.key_dim", 0, "key_dim .* Received: .*0"),
        ("model.key_dim", -8, "key_dim .* Received: .*-8"),
        ("model.num_buckets", 3, "num_buckets .*even.* Received: .*3"),
        ("data.path", "/there/is/no/such/folder", "config.data.path .* Received: .*/there/is/no/such/folder"),
        ("train.batch_size", 3, "`config.train.batch_size` must be divisible by .* Received: 3"),
        ("data.train_windows", -1, "config.data.train_windows must not be negative. Received: -1"),
        (
            "data.train_windows",
            1000,
            "`config.data.train_windows` asks for more .*: documents must have at least 1000 full examples of 64 "
            "targets each. Received: [0-9,]+ ids with [0-9]+ such examples",
        ),
    ],
)
def test_a_run_that_cannot_begin(corpus, tmp_path, field, value, message):
    config = runs.make_config(corpus)
    config.strategy, config.logical_devices = "mirrored", 2
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        Run(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())

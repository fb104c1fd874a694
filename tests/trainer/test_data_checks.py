"""Fields of `config.data` that a source does not read: refused by name, but not in runs that began with them."""

import logging

import numpy as np
import pytest

from configs import tiny
from tests.trainer import runs
from trainer import config as configs
from trainer import data_checks, evaluate, tasks
from trainer.data import corpora, datasets
from trainer.storage.workdir import Workdir
from trainer.training import begun_fields
from trainer.training.run import Run


@pytest.fixture
def config():
    config = tiny.get_config()
    config.data.validation_fraction = configs.default_data_config().validation_fraction
    return config


def test_every_field_is_read_by_a_source():
    read = {field for source in corpora.SOURCES.values() for field in source.fields or ()}
    assert read.isdisjoint(corpora.SHARED)
    assert read | {*corpora.SHARED} == {*configs.default_data_config()}


@pytest.mark.parametrize(
    ("source", "field", "value", "readers"),
    [
        ("stdlib_tests", "path", "/nowhere", "'text' or 'tokens' or 'labelled_text'"),
        ("stdlib_tests", "validation_path", "/nowhere", "'text' or"),
        ("stdlib_pairs", "pattern", "*.py", "'text' or 'tokens'"),
        ("python_stdlib", "validation_rule", "whole_documents", "'text' or 'tfds' or 'tokens'"),
        ("python_stdlib", "any_bytes", True, "'text'"),
        ("duplication", "path", "/nowhere", "'text' or"),
        ("duplication", "ids_dtype", "uint8", "'tokens'"),
        ("listops", "validation_fraction", 0.5, "'python_stdlib' or"),
        ("pathfinder", "min_length", 7, "'listops'"),
        ("tokens", "symbols", 5, "'duplication'"),
        ("labelled_text", "tfds_text_key", "body", "'tfds'"),
        ("labelled_text", "pattern", "*.csv", "'text' or 'tokens'"),
        ("text", "tfds_download", False, "'tfds' or 'labelled_text' or 'pairs'"),
        ("labelled_text", "source_key", "en", "'pairs'"),
        ("number_words", "path", "/nowhere", "'text' or"),
        ("pairs", "examples", 5, "'duplication' or 'number_words' or"),
        ("pairs", "any_bytes", True, "'text'"),
    ],
)
def test_fields_of_other_sources(config, source, field, value, readers):
    config.data.name = source
    assert data_checks.unused_fields(config) == {}
    config.data[field] = value
    default = configs.default_data_config()[field]
    rule = f"`config.data.{field}` must be {default!r} where `config.data.name` is {source!r}: it is for {readers}"
    message = data_checks.unused_fields(config).pop(field)
    assert message.startswith(rule)
    assert message.endswith(f". Received: {value!r}")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("source_length", 5, "must be 0 unless `config.data.name` is a source of pairs of texts. Received: 5"),
        ("source_length", -1, "must not be negative. Received: -1"),
        ("group_by_length", True, "must be False unless `config.data.length_buckets` are set, .* Received: True"),
    ],
)
def test_fields_of_all_sources(config, field, value, message):
    config.data[field] = value
    with pytest.raises(ValueError, match=f"`config.data.{field}` {message}"):
        data_checks.check(config)


def test_length_buckets_of_the_longer_side(config, monkeypatch):
    monkeypatch.setattr(tasks.TASKS[config.task], "contents", (corpora.TEXT_PAIRS,))
    config.data.name, config.data.layout = "number_words", "padded"
    config.train.sequence_length = 68
    config.data.source_length, config.data.length_buckets, config.data.group_by_length = 80, (8, 80), True
    data_checks.check(config)
    data_checks.check_source(config)
    config.data.source_length = 6
    with pytest.raises(ValueError, match=r"none above `config.train.sequence_length`, 68. Received: \(8, 80\)"):
        data_checks.check(config)
    config.data.source_length, config.data.length_buckets = 80, (8, 81)
    with pytest.raises(ValueError, match=r"none above `config.data.source_length`, 80. Received: \(8, 81\)"):
        data_checks.check(config)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "train.sequence_length",
            67,
            "must be at least 68, the bytes of the longest words and their end. Received: 67",
        ),
        ("data.source_length", 5, "must be 0 or at least 6, the digits of the longest number. Received: 5"),
        ("data.examples", 0, "must be at least 1. Received: 0"),
        ("data.validation_examples", 990_001, "must be at most 990000, the numbers that .* leaves. Received: 990001"),
    ],
)
def test_number_words_are_read_whole(config, field, value, message):
    config.data.name, config.train.sequence_length = "number_words", 68
    data_checks.check_source(config)
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=f"`config.{field}` {message}"):
        data_checks.check_source(config)
    config.data.tokens, config.train.sequence_length, config.data.source_length = "sentencepiece", 9, 5
    config.data.examples, config.data.validation_examples = 10, 10
    data_checks.check_source(config)


def test_a_source_of_ones_own_may_read_any_field(config, monkeypatch):
    monkeypatch.setitem(corpora.SOURCES, "own", corpora.Source(len))
    config.data.name, config.data.pattern, config.data.symbols = "own", "*.py", 5
    assert data_checks.unused_fields(config) == {}


def test_a_new_run_is_refused_and_leaves_nothing(config, tmp_path):
    config.data.path = "/nowhere"
    with pytest.raises(ValueError, match=r"`config.data.path` must be '' where .* Received: '/nowhere'"):
        Run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_began_with_such_fields_goes_on(config, tmp_path, monkeypatch, caplog):
    """Earlier versions filled the rule in for every source; nobody is told about that."""
    before = config.copy_and_resolve_references()
    before.data.path, before.data.validation_rule = "/nowhere", "documents_and_ends"
    workdir = Workdir(tmp_path)
    monkeypatch.setattr(workdir, "config_before", lambda: before)
    for again in (before, config):  # From its own config, and from the file that it began with.
        now = again.copy_and_resolve_references()
        now.data.path = "/nowhere"
        with caplog.at_level(logging.WARNING):
            begun_fields.fill_in(now, workdir)
        assert now.data.validation_rule == "documents_and_ends"
        assert caplog.text.count("Not used: `config.data.path`") == 1
        assert "validation_rule" not in caplog.text
        caplog.clear()
    now.data.path = "/other"
    with pytest.raises(ValueError, match=r"`config.data.path` must be '' .* Received: '/other'"):
        begun_fields.fill_in(now, workdir)


def test_an_evaluation_of_a_path_that_is_not_read(config, tmp_path):
    config.data.path = "/held"  # By the run: not set anew.
    for overrides, message in ((["data.path"], r"`config.data.path` must be '' where"), ([], "`workdir` must")):
        with pytest.raises(ValueError, match=message):
            evaluate.evaluate(config, Workdir(tmp_path), overrides=overrides)


@pytest.mark.parametrize(
    ("field", "value", "ending"), [("ids_dtype", "uint8", "bin"), ("ids_feature", "x", "tfrecord")]
)
def test_fields_of_kinds_of_files_that_are_not_there(tmp_path, field, value, ending):
    np.save(tmp_path / "ids.npy", np.arange(100))
    config = {"name": "tokens", "path": str(tmp_path), field: value}
    for fields in (config, {**config, "validation_path": str(tmp_path)}):
        with pytest.raises(
            ValueError, match=rf"{field} must be .* where no file ends in .{ending}. Received: '{value}"
        ):
            datasets.load_corpus(fields)
    assert len(datasets.load_scored(config, ["path"]).documents) == 1
    if ending == "bin":
        (tmp_path / "ids.bin").write_bytes(b"abc")
        assert len(datasets.load_corpus(config).train) == 2

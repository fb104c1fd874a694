"""Checks that hold for every field of a config, saved or not."""

import json

import pytest
from ml_collections import ConfigDict

from configs import tiny
from trainer import config_kinds
from trainer.config import as_dict, default_config, read_config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["train"].update(steps="5"), r"`config.train.steps` must be an integer. Received: '5'"),
        (lambda config: config["train"].update(steps=5.0), r"`config.train.steps` must be an integer. Received: 5.0"),
        (lambda config: config["train"].update(steps=True), r"`config.train.steps` must be an integer. Received: True"),
        (lambda config: config["train"].update(steps=None), r"`config.train.steps` must be an integer. Received: None"),
        (
            lambda config: config["train"].update(stpes=5),
            r"`config.train` .* Received: `stpes`; did you mean `steps`\?",
        ),
        (lambda config: config.update(train=5), r"`config.train` must be a group of fields. Received: 5"),
        (lambda config: config.update(model=[]), r"`config.model` must be a group of fields. Received: \[\]"),
        (lambda config: config.update(export="yes"), r"`config.export` must be True or False. Received: 'yes'"),
        (
            lambda config: config["train"].update(jit_compile="yes"),
            r"`config.train.jit_compile` must be True, False or 'auto'. Received: 'yes'",
        ),
        (lambda config: config["train"].update(jit_compile=1), r"`config.train.jit_compile` must be .* Received: 1"),
        (lambda config: config["data"].update(path=3), r"`config.data.path` must be a string. Received: 3"),
        (lambda config: config["data"].update(length_buckets=3), r"`config.data.length_buckets` must be a list"),
        (
            lambda config: config["optimizer"].update(learning_rate=float("inf")),
            r"`config.optimizer.learning_rate` must be a finite number. Received: inf",
        ),
        (
            lambda config: config["optimizer"].update(clip_norm=10**400),
            r"`config.optimizer.clip_norm` must be a finite number. Received: inf",
        ),
        (
            lambda config: config["model"].update(attention_options={"lsh": {"dropout": [float("nan")]}}),
            r"`config.model.attention_options.lsh.dropout` must be a finite number. Received: nan",
        ),
        (lambda config: config.update(more={"a.b": 1}), r"`config` must have fields that there are. Received: `more`"),
    ],
)
def test_saved_configs_with_fields_of_the_wrong_kind(change, message, tmp_path):
    fields = as_dict(tiny.get_config())
    change(fields)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=rf"config.json must be the config of a run: {message}"):
        read_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[1]",
        b"3",
        b"null",
        b"\xff\xfe\xfa{}",
        b"",
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"train": ' + b"9" * 5000,
    ],
)
def test_saved_configs_that_are_damaged(content, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"The config of a run must be JSON\. Received: .*config\.json: "):
        read_config(tmp_path / "config.json")


def test_every_number_of_a_config_must_be_finite():
    names = [
        (group, field)
        for group, fields in default_config().items()
        if isinstance(fields, ConfigDict)
        for field, value in fields.items()
        if isinstance(value, float)
    ]
    assert len(names) > 8
    for group, field in names:
        for value in (float("nan"), float("inf"), -float("inf")):
            config = tiny.get_config()
            config[group][field] = value
            with pytest.raises(ValueError, match=f"`config.{group}.{field}` must be a finite number. Received: "):
                config_kinds.check(config, default_config())

"""The flag `--config` and the flags of its fields."""

import inspect
import json
import pathlib
import re
from typing import Any

import pytest
from absl import flags
from ml_collections import ConfigDict

from configs import tiny
from trainer import model_fields
from trainer.commands import config_file, run_flags
from trainer.config import as_dict, write_config
from trainer.model import build_model

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = f"--config={ROOT / 'configs/tiny.py'}"


def _config(*arguments, define=run_flags.define_config):
    """Returns the config that a command line makes."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    flags.DEFINE_string("workdir", None, "", values, allow_override=True)
    define(["command", *arguments], values)
    values(["command", *arguments])
    return values.config


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("positions=sinusoidal", "sinusoidal"),
        ("gated", True),
        ("gated=1", True),
        ("rotary=true", True),
        ("layer_norm_epsilon=1e-5", 1e-5),
        ("embedding_scale=2", 2),
        ("embedding_scale=1.5", 1.5),
        ("num_buckets=8", 8),
        ("num_buckets=(8, 4)", (8, 4)),
        ("num_buckets=None", None),
        ("local_chunk_length=None", None),
        ("local_round=False", False),
        ("feed_forward_chunk_length=64", 64),
        ("axial_shape=(8,16)", (8, 16)),
        ("axial_dims=[4,12]", [4, 12]),
        ("activation=relu", "relu"),
        ("kernel_initializer=glorot_uniform", "glorot_uniform"),
        ("attention_options={'lsh': {'use_bias': True}}", {"lsh": {"use_bias": True}}),
        ("attention_options.lsh.use_bias=True", {"lsh": {"use_bias": True}}),
        ("attention_layers=('lsh', 'local')", ("lsh", "local")),
        ("num_hashes=3", 3),
        ("dropout=0", 0.0),
    ],
)
def test_arguments_of_the_model_that_the_config_leaves_out_or_has_of_another_kind(flag, expected):
    config = _config(TINY, f"--config.model.{flag}")
    value = config.model[re.split("[=.]", flag)[0]]
    value = value.to_dict() if isinstance(value, ConfigDict) else value
    assert value == expected
    assert type(value) is type(expected)


def test_every_argument_of_the_model_can_be_set():
    for name, parameter in model_fields.parameters("language_model").items():
        if parameter.default is inspect.Parameter.empty:
            value: Any = ("local", "lsh") if name == "attention_layers" else 7
        else:
            value = parameter.default
        config = _config(TINY, f"--config.model.{name}={value}")
        assert config.model[name] == value, name


def test_a_list_by_repeated_flags():
    config = _config(TINY, "--config.model.attention_layers=lsh", "--config.model.attention_layers=local")
    assert config.model.attention_layers == ("lsh", "local")


def test_the_model_has_what_the_flags_say():
    config = _config(TINY, "--config.model.positions=learned", "--config.model.attention_options.lsh.use_bias=True")
    names = [weight.path for weight in build_model(config).trainable_variables]
    assert any("position" in name and "table" in name for name in names)
    assert any("lsh" in name and "bias" in name for name in names)
    assert as_dict(config)["model"]["attention_options"] == {"lsh": {"use_bias": True}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("--config.train.stps=3", "Received: --config.train.stps; did you mean --config.train.steps?"),
        ("--config.steps=3", "Received: --config.steps; did you mean --config.train.steps?"),
        ("--config.model.num_hash=3", "Received: --config.model.num_hash; did you mean --config.model.num_hashes?"),
        ("--config.model.position=axial", "Received: --config.model.position; did you mean --config.model.positions?"),
        ("--noconfig.train.jit", "Received: --noconfig.train.jit"),
        ("--config.train.steps.more=1", "Received: --config.train.steps.more"),
        ("--config.qqqqq=1", "Received: --config.qqqqq"),
    ],
)
def test_only_the_wrong_flag_is_named(wrong, message):
    with pytest.raises(ValueError, match="Flags must name fields of the config. Received: ") as error:
        _config(TINY, "--config.train.steps=5", wrong, "--config.model.num_hashes=1")
    assert str(error.value).removeprefix("Flags must name fields of the config. ").startswith(message.split("; ")[0])
    assert message in str(error.value)
    assert "--config.train.steps=5" not in str(error.value)
    assert "--config.model.num_hashes " not in str(error.value)


def test_all_wrong_flags_are_named():
    with pytest.raises(ValueError, match=r"Received: --config.train.stps, --config.optimizer.nme; did you mean "):
        _config(TINY, "--config.train.stps=5", "--config.train.seed=1", "--config.optimizer.nme=adam")


def test_the_config_comes_first():
    message = r"`--config` must come before the flags of its fields. Received: --config.train.steps=5 before --config="
    with pytest.raises(ValueError, match=message):
        _config("--config.train.steps=5", TINY)


def test_values_behind_a_blank():
    config = _config("--config.train.seed", "3", "--config.train.steps", "5", define=_define_tiny)
    assert (config.train.seed, config.train.steps) == (3, 5)
    config = _config("--config", str(ROOT / "configs/tiny.py"), "--workdir", "d", "--config.train.steps", "5")
    assert config.train.steps == 5


def _define_tiny(arguments, values):
    from trainer.commands import config_flag

    return config_flag.define(tiny.get_config(), "", arguments, values)


def test_a_saved_config(tmp_path):
    write_config(tiny.get_config(), tmp_path / "config.json")
    workdir = f"--workdir={tmp_path}"
    assert _config(workdir).train.steps == 40
    assert _config("--config.train.steps", "5", workdir).train.steps == 5
    assert _config(f"--config={tmp_path / 'config.json'}", "--config.train.steps=5").train.steps == 5
    assert _config("--config", f"{tmp_path / 'config.json'}", "--config.model.rotary").model.rotary is True
    evaluated = _config("--tokens", "5", workdir, "--config.model.local_round=False", define=_define_for_command)
    assert evaluated.model.local_round is False


def _define_for_command(arguments, values):
    delattr(values, "workdir")
    flags.DEFINE_integer("tokens", 1, "", flag_values=values)
    return run_flags.define_flags(arguments, values)


def test_commands_take_no_config_of_their_own(tmp_path):
    write_config(tiny.get_config(), tmp_path / "config.json")
    with pytest.raises(
        ValueError, match="`--config` must not be given: .* kept in --workdir.* Received: --config=x.py"
    ):
        _config(f"--workdir={tmp_path}", "--config=x.py", define=_define_for_command)


def test_a_run_that_is_neither_new_nor_there(tmp_path):
    with pytest.raises(
        ValueError, match="must have --config, such as .*, as there is no .*config.json. Received: none"
    ):
        _config(f"--workdir={tmp_path}", "--config.train.steps=5")
    with pytest.raises(ValueError, match="must have --workdir, the folder of a run"):
        _config("--config.train.steps=5", define=_define_for_command)


def test_a_parameter_of_get_config(tmp_path):
    file = tmp_path / "a:b.py"
    file.write_text(
        "from configs import tiny\n"
        "def get_config(steps='3'):\n"
        "    config = tiny.get_config()\n"
        "    config.train.steps = int(steps)\n"
        "    return config\n"
    )
    assert config_file.load(str(file)).train.steps == 3
    assert config_file.load(f"{file}:12").train.steps == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def get_config(:", r"which raised SyntaxError: .*line 1"),
        ("def get_config():\n    return 1 / 0", r"mine.py, line 2, which raised ZeroDivisionError: division by zero"),
        ("import no_such_module_here", r"line 1, which raised ModuleNotFoundError: .*no_such_module_here"),
        ("import sys\nsys.exit(7)", r"line 2, which raised SystemExit: 7"),
        ("x = 1", r"which raised AttributeError: .*get_config"),
        ("def get_config(): pass", r"returned a NoneType"),
        ("def get_config(): return {'train': 1}", r"returned a dict"),
        (
            "from trainer.config import default_config\n"
            "def get_config():\n    config = default_config()\n    config.train.steps = 'many'\n",
            r"line 4, which raised TypeError",
        ),
        ("def get_config(): return get_config()", "which raised RecursionError"),
        ("\0", "which raised"),
    ],
)
def test_config_files_that_cannot_be_used(content, message, tmp_path):
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(ValueError, match=f"`config` must name a file .*{message}"):
        config_file.load(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("", r"`config` must be a path. Received: ''"),
        ("none.py", r"`config` must name a config file, such as configs/quickstart.py. Received: none.py, no file"),
        ("configs", r"Received: .*configs, no file"),
        ("gs://bucket/tiny.py", r"`config` must be a path in the file system of this machine.*'gs://bucket/tiny.py'"),
    ],
)
def test_config_files_that_are_not_there(file, message):
    with pytest.raises(ValueError, match=message):
        config_file.load(file)


def test_whole_numbers_where_fractions_are_meant(tmp_path):
    fields = as_dict(tiny.get_config())
    fields["optimizer"]["learning_rate"] = 1
    fields["model"]["dropout"] = 0
    (tmp_path / "config.json").write_text(json.dumps(fields))
    config = _config(f"--workdir={tmp_path}", "--config.optimizer.learning_rate=0.5", "--config.model.dropout=0.1")
    assert (config.optimizer.learning_rate, config.model.dropout) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [("=auto", "auto"), ("=1", True), ("=0", False), ("=True", True), ("=false", False), ("", True)],
)
def test_a_field_that_is_a_word_or_true_or_false(flag, expected):
    found = _config(TINY, f"--config.train.jit_compile{flag}").train.jit_compile
    assert (type(found), found) == (type(expected), expected)

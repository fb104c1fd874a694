"""The config of a run as a file."""

import copy

import pytest
from ml_collections import ConfigDict, config_dict

from trainer.config import as_dict, default_config, differences, read_config, write_config


def test_a_config_comes_back_from_its_file(tmp_path):
    config = default_config()
    config.model.attention_layers = ("local", "lsh")
    config.model.num_buckets = config_dict.placeholder(int)
    write_config(config, tmp_path / "config.json")
    again = read_config(tmp_path / "config.json")
    assert as_dict(again) == as_dict(config)
    assert again.model.attention_layers == ("local", "lsh")
    again.lock()
    again.model.num_buckets = 64


@pytest.mark.parametrize("copied", [lambda config: config, ConfigDict.copy_and_resolve_references, copy.deepcopy])
@pytest.mark.parametrize("before", ["auto", True, False])
def test_a_field_that_may_change_its_type(before, copied, tmp_path):
    config = default_config()
    config.train.jit_compile = before
    write_config(config, tmp_path / "config.json")
    for again in (copied(config), copied(read_config(tmp_path / "config.json"))):
        assert again.train.jit_compile == before
        again.lock()
        again.train.jit_compile = False if before else "auto"
        with pytest.raises(TypeError, match="Could not override field 'steps'"):
            again.train.steps = "auto"


def test_differences_have_full_names():
    old, new = default_config(), default_config()
    new.train.steps = 7
    new.model.num_hashes = 2
    new.strategy = "mirrored"
    assert differences(as_dict(old), as_dict(new)) == {
        "config.train.steps": (1000, 7),
        "config.model.num_hashes": (None, 2),
        "config.strategy": ("one_device", "mirrored"),
    }


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"`workdir` must be a folder that a run made.* Received: .*config\.json"):
        read_config(tmp_path / "config.json")


def test_a_config_that_is_not_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"The config of a run must be JSON\. Received: .*config\.json"):
        read_config(tmp_path / "config.json")

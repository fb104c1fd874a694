"""Commands refuse a bad command line in one sentence and with code 2, and write nothing."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from configs import tiny
from tests.trainer import forked_commands
from trainer import exits
from trainer.config import as_dict

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = f"--config={ROOT / 'configs/tiny.py'}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with the `config.json` of a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text(json.dumps(as_dict(tiny.get_config())))
    return tmp_path


def _all_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        # Flags.
        (
            ("task", TINY, "--workdir=run", "--config.train.stps=3"),
            "Received: --config.train.stps; did you mean --config",
        ),
        (("task", TINY, "--workdir=run", "--config.train.steps=many"), "--config.train.steps=many"),
        (("task", TINY, "--workdir=run", "--config.train.steps"), "Missing value for flag --config.train.steps"),
        (("task", TINY, "--wrkdir=run"), "Unknown command line flag 'wrkdir'. Did you mean: workdir"),
        (("task", TINY), "Flag --workdir must have a value"),
        (("task", TINY, "--workdir"), "Missing value for flag --workdir"),
        (("task", "--workdir=run"), "A command line must have --config, such as"),
        (("task", "--config.train.steps=3", TINY, "--workdir=run"), "`--config` must come before"),
        (("task", "run", TINY, "--workdir=run"), "There must be nothing but flags. Received: run"),
        (("task", TINY, "--workdir=run", "--config.train={"), "--config.train={"),
        (("task", TINY, "--workdir=run", "--task_type=boss"), "--task_type=boss"),
        (
            ("task", TINY, "--workdir=run", f"--config.model.num_buckets={'(' * 300}"),
            "must be a positive even integer .* num_buckets=((((",
        ),
        (("task", TINY, "--flagfile=none.txt", "--workdir=run"), "none.txt"),
        (("evaluate", "--workdir=kept", TINY), "`--config` must not be given"),
        (("evaluate",), "A command line must have --workdir"),
        (("evaluate", "--workdir"), "Missing value for flag --workdir"),
        (("generate", "--workdir=kept", "--tokens=none"), "--tokens=none"),
        (("export", "--workdir=kept"), "Flag --output must have a value"),
        (("convert", "--from=torch", "--source=a", "--workdir=b"), "--from=torch"),
        (("local_cluster", "--workers=0"), "--workers=0"),
        (("local_cluster", "--workers=1", "--grace=nan", "--", "true"), "--grace=nan"),
        (("local_cluster", "--workers=1", "--", "no-such-command-here"), "no-such-command-here"),
        # Config files, and the configs of runs.
        (("task", "--config=none.py", "--workdir=run"), "`config` must name a config file, .* Received: none.py"),
        (("task", "--config=", "--workdir=run"), "`config` must be a path"),
        (("evaluate", "--workdir=none"), "`workdir` must be a folder that a run made"),
        (("generate", "--workdir=kept"), "`workdir` must hold a checkpoint"),
        (("evaluate", "--workdir=kept", "--config.train.stps=3"), "Received: --config.train.stps; did you mean"),
        (("evaluate", "--workdir=kept/config.json"), "`workdir` must be a folder"),
        # Numbers.
        (
            ("task", TINY, "--workdir=run", "--config.optimizer.learning_rate=inf"),
            "learning_rate` must be a finite number",
        ),
        (("task", TINY, "--workdir=run", "--config.sample.temperature=nan"), "temperature` must be a finite number"),
        (("task", TINY, "--workdir=run", "--config.model.embedding_scale=1e999"), "embedding_scale` must be a finite"),
        (("evaluate", "--workdir=kept", "--config.data.validation_fraction=nan"), "validation_fraction` must be a fin"),
        # Arguments of the model, before the data is read.
        (
            ("task", TINY, "--workdir=run", "--config.model.positions=axial", "--config.model.gated=maybe"),
            "gated=maybe",
        ),
        (("task", TINY, "--workdir=run", "--config.model.num_layers=-1"), "num_layers must be a positive integer"),
        (("task", TINY, "--workdir=run", "--config.model.attention_layers=global"), "must name kinds among"),
        # Paths.
        (("task", TINY, "--workdir=gs://bucket/run"), "`workdir` must be a path in the file system of this machine"),
        (("task", TINY, "--workdir="), "`workdir` must be a path"),
        (("task", TINY, "--workdir=~no-such-user-here/run"), "`workdir` must not begin with '~no-such-user-here'"),
        (("task", TINY, "--workdir=kept/config.json/run"), "`workdir` must be a folder"),
        (
            ("task", TINY, "--workdir=run", "--config.data.name=text", "--config.data.path=s3://bucket/text"),
            "`config.data.path` must be a path in the file system of this machine",
        ),
        (
            ("task", TINY, "--workdir=run", "--config.data.data_dir=file:///data"),
            "`config.data.data_dir` must be a path",
        ),
        (
            ("task", TINY, "--workdir=run", "--config.data.validation_path=gs://a"),
            "`config.data.validation_path` must be",
        ),
        (
            (
                "task",
                TINY,
                "--workdir=run",
                "--config.data.tokens=sentencepiece",
                "--config.data.sentencepiece_model=gs://a",
            ),
            "`config.data.sentencepiece_model` must be a path in the",
        ),
        (("evaluate", "--workdir=gs://bucket/run"), "`workdir` must be a path in the file system of this machine"),
        (("generate", "--workdir=s3://bucket/run"), "`workdir` must be a path in the file system of this machine"),
        (("export", "--workdir=kept", "--output=gs://bucket/models"), "`output` must be a path in the file system"),
        (("export", "--workdir=kept", "--output="), "`output` must be a path"),
        (("export", "--workdir=kept", "--output=kept/config.json"), "`output` must be a folder"),
        (("export", "--workdir=kept", "--output=out", "--device=gpu"), "--device=gpu"),
        (
            ("export", "--workdir=kept", "--output=out", "--device_memory=8"),
            "`--device_memory` must come with `--device=GPU` or `--device=TPU`. Received: neither",
        ),
        (
            ("export", "--workdir=kept", "--output=out", "--device=GPU", "--device_memory=nan"),
            "`--device_memory` must be a number of GiB, at least 1. Received: nan",
        ),
        (("convert", "--from=huggingface", "--source=a", "--workdir=gs://b"), "`workdir` must be a path in the file"),
        (("convert", "--from=huggingface", "--source=gs://a", "--workdir=b"), "`source` must be a path in the file"),
    ],
)
def test_refused(command, said, folder):
    before = _all_files(folder)
    code, out, err = forked_commands.run(*command)
    assert code == exits.REFUSED == 2, err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert re.search(rf"^Error: .*{said.replace('(', '[(]')}", lines[0]), err
    assert not out
    assert _all_files(folder) == before


def test_help_is_no_error(folder):
    for command in (("task", "--help"), ("evaluate", "--helpshort"), ("local_cluster", "--help")):
        code, out, err = forked_commands.run(*command)
        assert code == exits.DONE, err
        assert "--" in out


def test_the_home_of_the_user(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    code, _, err = forked_commands.run("generate", "--workdir=~/kept")
    assert code == exits.REFUSED
    assert f"`workdir` must hold a checkpoint. Received: {folder / 'kept'}" in err


def test_what_tensorflow_says_does_not_hide_what_the_command_says(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-m", "trainer.task", TINY, "--workdir=run", "--config.data.path=gs://bucket/text"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == exits.REFUSED
    assert done.stderr.startswith("Error: `config.data.path` must be a path in the file system of this machine"), done
    assert not list(tmp_path.iterdir())

"""The README's commands from one run to the next, shrunk."""

import json
import pathlib
import shlex

import pytest
from absl import flags

from tests.documentation import blocks
from tests.trainer import runs
from tests.trainer.tasks import cases
from trainer import exits
from trainer.commands import run_flags
from trainer.storage.checkpoints import Checkpoints

SMALL = {
    "config.model.num_layers": 1,
    "config.model.attention_layers": "('lsh',)",
    "config.model.hidden_dim": 16,
    "config.model.num_heads": 2,
    "config.model.key_dim": 8,
    "config.model.intermediate_dim": 32,
    "config.model.chunk_length": 8,
    "config.model.local_chunk_length": 8,
    "config.model.reversible": False,
    "config.train.steps": 2,
    "config.export": False,
    "config.report": False,
}


@pytest.fixture
def commands():
    """The arguments of each of the three commands."""
    (block,) = [block for block in blocks.find("README.md", "sh") if "init_from" in block]
    lines = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]
    assert [line[:3] for line in lines] == [["python", "-m", "trainer.task"]] * 3
    return [line[3:] for line in lines]


def _run(arguments):
    """Runs `python -m trainer.task` with arguments in this process, which the real command can do only once."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", values)
    run_flags.define_config(["task", *arguments], values)
    values(["task", *arguments])
    return runs.run(values.config, pathlib.Path(values.workdir))


def test_pretraining_then_twice_the_length_then_a_classifier(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(blocks.ROOT)
    text = {"config.data.name": "text", "config.data.path": runs.write_corpus(tmp_path / "corpus")}
    labelled = {
        "config.data.path": cases.write_labelled_texts(tmp_path / "snippets.jsonl"),
        "config.model.num_classes": 2,
    }
    for command, length, data in zip(commands, (32, 64, 64), (text, text, labelled), strict=True):
        lengths = {"config.model.max_sequence_length": length, "config.train.sequence_length": length}
        in_folder = [argument.replace("/tmp/", f"{tmp_path}/") for argument in command]
        small = [f"--{name}={value}" for name, value in {**SMALL, **lengths, **data}.items()]
        given = {flag.split("=")[0] for flag in small}
        kept = [argument for argument in in_folder if argument.split("=")[0] not in given]
        assert _run([*kept, *small]) == exits.DONE
    out = capsys.readouterr().out
    assert out.count("Weights of step 2, the best") == 2
    assert "Initialised: hidden/kernel; hidden/bias; output_projection/kernel" in out
    _, description = Checkpoints(tmp_path / "classifier" / "checkpoints").newest()
    assert description["begun_with"]["folder"] == "longer"
    for folder in ("longer", "classifier"):
        model = json.loads((tmp_path / folder / "config.json").read_text())["model"]
        assert model["num_buckets"] == 8  # Twice the length of the first run, over its chunks.

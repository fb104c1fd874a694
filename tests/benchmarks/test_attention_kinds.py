"""The comparison of kinds: the command with made measurements, and the processes that it starts at their smallest."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from compilers.processes import limited_process
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from tests.trainer import command_line

KINDS = {
    "full": {"causal": True, "bidirectional": True, "state": "all keys and values"},
    "to_come": {"causal": False, "bidirectional": True, "state": None},
}
DECODING = [kind for kind, cls in ATTENTION_LAYERS.items() if cls.capabilities.decoding_cache]
SIZES = ["--heads=2", "--key_dim=4", "--chunk_length=8", "--num_hashes=1", "--repeat=1"]


@pytest.fixture
def commands(monkeypatch):
    """Answers in place of processes; exact attention takes too long from 4,096 tokens on. Returns their commands."""
    started = []

    def run(command, *_, **__):
        flags = dict(option.removeprefix("--").split("=") for option in command[3:])
        module = command[2].removeprefix("benchmarks.points.")
        if module == "registered_kinds":
            return {"status": "done", "seconds": 0.1, "kinds": KINDS}
        started.append((module, flags))
        if module == "attention_layer" and flags["subject"] == "full" and int(flags["length"]) >= 4096:
            return {"status": "timeout", "seconds": 9.0, "reason": "not done after 9 s"}
        return {"status": "done", "seconds": 1.0, **_measured(module, flags)}

    monkeypatch.setattr(limited_process, "run", run)
    return started


def _measured(module, flags):
    if module == "quality":
        bits = 3.0 if flags["learning_rate"] == "0.002" else 3.5
        curve = [{"steps": 4, "seconds": 8.0, "validation_bits": bits}]
        return {"validation_bits": bits, "train_bits": bits, "curve": curve}
    if module == "attention_decoding":
        return {"token_s": 0.001, "state_bytes": 8 * int(flags["context"])}
    return {"step_s": 0.5, "forward_s": 0.1, "peak_mib": 200.0, "base_mib": 100.0, "parameters": 5}


def _run(output, *arguments):
    asked = ["--lengths=1024,4096,16384", "--contexts=1024", "--rates=1e-3,2e-3", "--steps=4", "--peer="]
    return command_line.run_benchmark("attention_kinds", *asked, f"--output={output}", "--plot=", *arguments)


def test_every_registered_kind_is_measured(tmp_path, capfd, commands):
    output = tmp_path / "kinds.jsonl"
    assert _run(output) == 0
    said = capfd.readouterr().out
    layers = [(flags["subject"], flags["length"]) for module, flags in commands if module == "attention_layer"]
    assert layers == [
        ("full", "1024"),
        ("to_come", "1024"),
        ("full", "4096"),
        ("to_come", "4096"),
        ("to_come", "16384"),
    ]
    assert "| full | 500 | over the time limit | skipped: over the time limit" in said
    assert [flags["subject"] for module, flags in commands if module == "attention_decoding"] == ["full"]
    trained = [
        (flags["attention"], flags["learning_rate"], flags["seed"]) for module, flags in commands if module == "quality"
    ]
    assert trained == [("full", "0.001", "0"), ("full", "0.002", "0"), ("full", "0.002", "1")]
    assert "| full | 0.002 | 3.0000 | 2 |" in said and "| to_come | - | attends in both directions only |" in said

    before = output.read_text(), commands[:]
    assert _run(output) == 0
    again = capfd.readouterr().out
    assert (output.read_text(), commands) == before, "nothing is measured again"
    assert again.split("Forward and backward of one layer")[1] == said.split("Forward and backward of one layer")[1]
    assert _run(output, "--measure=layer", "--kinds=to_come", "--lengths=2048") == 0
    assert [(flags["subject"], flags["length"]) for _, flags in commands[len(before[1]) :]] == [("to_come", "2048")]
    assert "steps must be as in" in _run(output, "--steps=5")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--lengths=1k", "--lengths must be positive integers"),
        ("--measure=speed", "--measure must be of ['layer', 'decoding', 'quality']. Received: ['speed']"),
        ("--rates=fast", "--rates must be positive numbers. Received: ['fast']"),
        ("--rates=0.1,-1", "--rates must be positive numbers. Received: ['0.1', '-1']"),
        ("--kinds=fast", "--kinds must be of the registered ones, ['full', 'to_come']. Received: ['fast']"),
        ("--peer=fast", "--peer must be of"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, commands, argument, message):
    assert message in _run(tmp_path / "kinds.jsonl", argument)
    assert not commands and not list(tmp_path.iterdir())


def _point(capfd, module, *arguments):
    assert command_line.run_benchmark(f"points.{module}", *SIZES, *arguments) == 0
    return json.loads(capfd.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("kind", sorted(ATTENTION_LAYERS))
def test_a_layer(kind, capfd):
    measured = _point(capfd, "attention_layer", f"--subject={kind}", "--length=32")
    assert measured["step_s"] > 0 and measured["forward_s"] > 0 and measured["peak_mib"] >= measured["base_mib"] > 0
    assert measured["parameters"] >= 3 * 8 * 8


@pytest.mark.parametrize("kind", DECODING)
def test_decoding(kind, capfd):
    small, large = (
        _point(capfd, "attention_decoding", f"--subject={kind}", f"--context={context}", "--tokens=3")
        for context in (16, 64)
    )
    assert small["token_s"] > 0 and small["state_bytes"] > 0
    grows = ATTENTION_LAYERS[kind].capabilities.decoding_cache.state_grows
    assert large["state_bytes"] > small["state_bytes"] if grows else large["state_bytes"] == small["state_bytes"]
    if kind == "full":
        assert small["state_bytes"] == 16 * 2 * (2 * 4) * 4, "keys and values in float32"


def test_other_layers(capfd, monkeypatch):
    class BothDirections(FullSelfAttention):
        capabilities = dataclasses.replace(FullSelfAttention.capabilities, causal=False, decoding_cache=None)

    monkeypatch.setitem(ATTENTION_LAYERS, "both", BothDirections)
    monkeypatch.setitem(ATTENTION_LAYERS, "keras", None)  # Taken out again after the test.
    for subject in ("both", "keras"):
        assert _point(capfd, "attention_layer", f"--subject={subject}", "--length=16")["step_s"] > 0


def test_the_registered_kinds(capfd):
    assert command_line.run_benchmark("points.registered_kinds") == 0
    kinds = json.loads(capfd.readouterr().out.splitlines()[-1])["kinds"]
    assert list(kinds) == list(ATTENTION_LAYERS)
    assert kinds["full"] == KINDS["full"]


def test_the_command_stays_small():
    large = {"tensorflow", "keras", "torch", "matplotlib", "numpy"}
    code = f"import sys, benchmarks.attention_kinds; assert not {large} & {{*sys.modules}}, {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_performer_pytorch(capfd):
    pytest.importorskip("torch")
    pytest.importorskip("performer_pytorch")
    measured = _point(capfd, "attention_layer", "--subject=performer_pytorch", "--length=256")
    assert measured["step_s"] > 0 and measured["parameters"] >= 4 * 8 * 8


@pytest.mark.slow
def test_all_of_it(tmp_path):
    command = [sys.executable, "-m", "benchmarks.attention_kinds", "--lengths=64,128", "--contexts=64", "--peer=keras"]
    command += ["--training_length=128", "--steps=12", "--rates=1e-2", "--seeds=1", "--evaluations=2"]
    command += ["--validation_windows=2", "--layers=1", "--repeat=2", f"--output={tmp_path / 'kinds.jsonl'}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr
    _, *measured = map(json.loads, (tmp_path / "kinds.jsonl").read_text().splitlines())
    assert {m["status"] for m in measured} == {"done"}, measured
    assert {m["measured"] for m in measured} == {"layer", "decoding", "quality"}
    for training in (m for m in measured if m["measured"] == "quality"):
        assert [point["steps"] for point in training["curve"]] == [6, 12]
        assert 3 < training["validation_bits"] == training["curve"][-1]["validation_bits"] < 9
    assert re.search(r"^\| keras \| [\d.,]+ \| [\d.,]+ \|", ended.stdout, re.MULTILINE)

"""Weights of exact attention in a Performer: the norms, the tables, and the command with made and with real runs."""

import json

import keras
import numpy as np
import pytest

from benchmarks.measuring import query_key_norms
from benchmarks.measuring.performer_variants import BASE, VARIANTS
from compilers.processes import limited_process
from reformer_tf.layers.attention import FullSelfAttention, PerformerSelfAttention
from tests.trainer import command_line

TINY = ["--length=32", "--layers=1", "--width=16", "--heads=2", "--batch=2", "--base_steps=8", "--steps=2"]
TINY += ["--evaluate_every=1", "--validation_examples=4"]


def _run(folder, *arguments):
    output = [f"--output={folder / 'weights.jsonl'}", f"--workdirs={folder / 'runs'}"]
    return command_line.run_benchmark("performer_weights", *TINY, *output, *arguments)


def _results(folder):
    _, *runs = map(json.loads, (folder / "weights.jsonl").read_text().splitlines())
    return runs


def test_every_variant_is_a_layer():
    for options in VARIANTS.values():
        assert options is None or PerformerSelfAttention(2, 8, causal=True, **options).num_features


def test_norms_are_those_of_queries_and_keys_of_each_layer():
    layers = [FullSelfAttention(num_heads=2, key_dim=4, name=f"attention_{index}") for index in range(2)]
    inputs = keras.Input([10, 6])
    model = keras.Model(inputs, layers[1](layers[0](inputs)))
    x = np.random.default_rng(0).normal(size=[3, 10, 6]).astype("float32")
    vectors = [x, layers[0](x)]
    found = query_key_norms.measure(model, x)
    for layer, into, numbers in zip(layers, vectors, found, strict=True):
        assert "attend" not in vars(layer)
        kernels = {weight.name: np.array(weight.numpy()) for weight in layer.trainable_variables}
        for name in ("query", "key"):
            projected = np.einsum("blm,mhd->blhd", into, kernels[name])
            norm = np.linalg.norm(projected, axis=-1).mean() * 4**-0.25
            np.testing.assert_allclose(numbers[f"{name}_norm"], norm, rtol=1e-5)
            np.testing.assert_allclose(numbers[f"{name}_std"], projected.std(), rtol=1e-5)


@pytest.fixture
def answers(monkeypatch):
    """Answers in place of processes; returns the flags of each. Those of a variant in `failing` fail."""
    started, failing = [], set()

    def run(command, *_, **__):
        flags = dict(option.removeprefix("--").split("=") for option in command[3:])
        started.append(flags)
        if flags["variant"] in failing:
            return {"status": "failed", "seconds": 1.0, "reason": "no memory"}
        layer = {"query_norm": 1.5, "key_norm": 2.5, "query_std": 0.5, "key_std": 0.25}
        measured = {"steps": [0, 1, 2], "bits_per_byte": [4.0, 3.5, 3.25], "train_seconds": 1.0}
        return {
            "status": "done",
            "seconds": 1.0,
            **measured,
            **({"layers": [layer]} if flags["variant"] == BASE else {}),
        }

    monkeypatch.setattr(limited_process, "run", run)
    return started, failing


def test_the_command(tmp_path, capfd, answers):
    started, failing = answers
    failing.add("softmax-64")
    assert _run(tmp_path) == 0
    said = capfd.readouterr().out
    assert [flags["variant"] for flags in started] == [BASE, *VARIANTS]
    assert {flags["base"] for flags in started} == {str(tmp_path / "runs" / BASE)}
    assert "| attention | at once | 1 steps | 2 steps |" in said
    assert "| exact attention | 4.000 | 3.500 | 3.250 |" in said
    assert "| softmax, m = 64 | failed |  |  |" in said
    assert "| softmax, regularized, m = 256, redrawn every 20 steps | 4.000 |" in said
    assert "| 0 | 1.50 | 2.50 | 0.50 | 0.25 |" in said
    failing.clear()
    started.clear()
    assert _run(tmp_path) == 0
    assert [flags["variant"] for flags in started] == ["softmax-64"]
    assert "| softmax, m = 64 | 4.000 | 3.500 | 3.250 |" in capfd.readouterr().out


def test_refusals(tmp_path, answers):
    started, failing = answers
    assert "--variants must be of ['exact'," in str(_run(tmp_path, "--variants=softmax-7"))
    assert "--width must be a multiple of --heads" in str(_run(tmp_path, "--width=15"))
    failing.add(BASE)
    assert "the model whose weights the others take: failed (no memory)" in str(_run(tmp_path))
    assert [flags["variant"] for flags in started] == [BASE]


@pytest.mark.slow
def test_real_runs(tmp_path):
    assert _run(tmp_path, "--variants=exact,smreg-redrawn,scratch") == 0
    base, exact, smreg, scratch = runs = _results(tmp_path)
    for run in runs:
        assert run["status"] == "done", run["reason"]
    assert exact["steps"] == smreg["steps"] == [0, 1, 2]
    assert exact["bits_per_byte"][0] == pytest.approx(base["bits_per_byte"][-1], abs=1e-4)
    assert smreg["bits_per_byte"][0] != exact["bits_per_byte"][0]
    assert scratch["bits_per_byte"][0] > exact["bits_per_byte"][0]
    assert len(base["layers"]) == 1

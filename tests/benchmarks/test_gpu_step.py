"""The benchmark of the step on a GPU, with a CPU in its place: with TensorFlow, and without it."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from benchmarks.peers import flash_attention
from compilers.runs import comparison, gpu_plan, lowered_step
from tests.trainer import command_line
from tools import imports

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEP = ["--layers=2", "--width=16", "--heads=2", "--chunk_length=16", "--num_hashes=2", "--repeat=1"]
POINT = ["--length=64", "--attention=lsh", *STEP, "--layers=1"]


@pytest.fixture(autouse=True)
def _tf32():
    yield
    tf.config.experimental.enable_tensor_float_32_execution(True)


def _point(capfd, *arguments):
    assert command_line.run_benchmark("points.gpu_step", *POINT, *arguments) == 0
    return json.loads(capfd.readouterr().out.splitlines()[-1])


def test_numbers_are_compared_with_the_cpu(capfd):
    checked = _point(capfd, "--check")
    assert checked["passed"] is True and checked["tf32"] is False and checked["device"]
    assert 0 < checked["gradient_error"] < 1e-5  # One is compiled as a whole, the other is not.


def test_a_step_to_check_is_lowered_in_full_precision_with_its_arguments(capfd, tmp_path):
    path = tmp_path / "check.hlo"
    said = _point(capfd, "--check", f"--program={path}")
    assert said["program_bytes"] == path.stat().st_size
    module = hlo_pb2.HloModuleProto.FromString(path.read_bytes())
    products = [i for c in module.computations for i in c.instructions if i.opcode == "dot"]
    highest = type(products[0].precision_config).HIGHEST  # With DEFAULT a GPU may take TF32.
    assert products and all({*i.precision_config.operand_precision} == {highest} for i in products)
    arguments, results = comparison.load(path.with_suffix(".npz"))
    shapes = [list(shape.dimensions) for shape in module.host_program_shape.parameters]
    assert [list(x.shape) for x in arguments] == shapes
    assert results[0].shape == () and np.isfinite(results[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--lengths=1k", "--lengths must be positive integers. Received: ['1k']"),
        ("--attention=performer", "--attention must be of ['lsh', 'local', 'full']. Received: ['performer']"),
        ("--exact=fuller", "--exact must be of ['lsh', 'local', 'full']. Received: ['fuller']"),
        ("--width=15", "--width must be a multiple of --heads"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(argument, message, tmp_path):
    output = tmp_path / "out.json"
    said = command_line.run_benchmark("gpu_step", *STEP, argument, f"--output={output}")
    assert message in str(said) and not output.exists()


def test_a_check_is_in_float32(capfd):
    said = command_line.run_benchmark("points.gpu_step", *POINT, "--check", "--precision=mixed_bfloat16")
    assert "--check needs --precision=float32. Received: mixed_bfloat16" in str(said)


def test_another_folder_is_refused(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command_line.run_benchmark("prepared_gpu_step") == 2
    assert "the current folder must be one that benchmarks.gpu_step made. Received: no /" in capfd.readouterr().err


def test_a_folder_without_jax_is_refused(monkeypatch, tmp_path):
    gpu_plan.save(gpu_plan.Plan([], "NVIDIA H200", 1.0, {}), tmp_path / gpu_plan.FILE)
    monkeypatch.chdir(tmp_path)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else find_spec(name))
    said = command_line.run_benchmark("prepared_gpu_step")
    assert "jax and numpy must be installed. Received: " in said and said.endswith("without jax")


def test_what_runs_on_the_other_machine_imports_nothing_else_than_the_folder_has():
    found, left = set(), ["benchmarks.prepared_gpu_step", flash_attention.__name__, lowered_step.__name__]
    left = [f"{name.replace('.', '/')}.py" for name in left]
    packages = set()
    while left:
        file = left.pop()
        found.add(file)
        imported = imports.find_imports(ROOT, file)
        packages |= imported.packages
        inits = {f"{folder}/__init__.py" for folder in map(str, pathlib.PurePath(file).parents) if folder != "."}
        left += (imported.files | inits) - found
    assert {file.split("/")[0] for file in found} == {"benchmarks", "compilers"}
    assert packages == {"jax", "jaxlib", "numpy", "torch"}


def _run(folder, *command):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def _check_report(lines, subjects):
    found = json.loads(lines[-1])
    assert [
        (p["subject"], p["length"], p["status"]) for p in found["points"] if "flash" not in p["subject"]
    ] == subjects
    assert found["points"][0]["passed"] is True
    assert all(p["step_s"] > 0 and p["share_of_peak"] is None for p in found["points"][1:])


SUBJECTS = [("check", 64, "done"), ("lsh local", 64, "done"), ("lsh local", 128, "done"), ("full local", 64, "done")]
SUBJECTS.append(("full local", 128, "done"))


@pytest.mark.slow
def test_with_tensorflow(tmp_path):
    lines = _run(None, "benchmarks.gpu_step", "--lengths=64,128", *STEP, "--cpu", f"--output={tmp_path / 'out.json'}")
    assert lines[-1] == (tmp_path / "out.json").read_text().strip()
    _check_report(lines, SUBJECTS)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_without_tensorflow(tmp_path):
    _run(None, "benchmarks.gpu_step", "--lengths=64,128", *STEP, f"--prepare={tmp_path}")
    _check_report(_run(tmp_path, "benchmarks.prepared_gpu_step", "--cpu"), SUBJECTS)

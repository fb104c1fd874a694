"""The roofline benchmark as the command that people run."""

import importlib.util
import json
import subprocess
import sys

import pytest

from benchmarks import roofline_plot, roofline_report

TINY = ["--length=100", "--layers=2", "--width=16", "--heads=2", "--chunk_length=16", "--repeat=1"]
TINY += ["--matmul_size=64", "--array_mib=1", "--seconds=0"]


def _run(tmp_path, *arguments):
    output = tmp_path / "roofline.json"
    command = [sys.executable, "-m", "benchmarks.roofline", *TINY, f"--output={output}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False), output


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)], ids=lambda x: x
)
def test_a_tiny_step(tmp_path, precision):
    result, output = _run(tmp_path, f"--precision={precision}", "--local_round", "--plot=")
    assert result.returncode == 0, result.stderr
    measured = json.loads(output.read_text())
    limits, stages = measured["limits"], measured["stages"]
    dtype = "float32" if precision == "float32" else "bfloat16"
    assert measured["peak_flops"] == limits["matmul_flops"][dtype] > 0
    names = [stage["name"] for stage in stages]
    assert {"attention", "blocks", "feed-forward", "head and loss", "sorting"} <= {*names}
    for stage in stages:
        assert stage["in_step"] == (1 if stage["name"] in ("embedding", "final norm", "head and loss") else 2)
        for one in (stage["forward"], stage["backward"]):
            moving = one["bytes"] / limits["bytes"]
            computing = one["flops"] / measured["peak_flops"]
            assert one["limit_s"] == pytest.approx(max(moving, computing))
            assert one["practical_limit_s"] >= 0
    blocks, attention = (next(s for s in stages if s["name"] == name) for name in ("blocks", "attention"))
    # Three rounds of two heads in seven blocks, the last of them filled up.
    assert blocks["forward"]["exponentials"] == 3 * 2 * 7 * 16 * 32
    assert attention["forward"]["flops"] > blocks["forward"]["flops"]
    counted = [s for s in stages if not s["part_of"]]
    total = sum(s["in_step"] * (s["forward"]["seconds"] + s["backward"]["seconds"]) for s in counted)
    assert measured["stages_s"] == pytest.approx(total)
    assert measured["step_s"] > 0
    assert f"the whole step, measured: {measured['step_s']:.3f} s" in result.stdout
    assert f"Not explained by the stages: {measured['step_s'] - total:.3f} s" in result.stdout
    assert roofline_report.report(measured) in result.stdout
    if importlib.util.find_spec("matplotlib"):
        roofline_plot.plot(measured, tmp_path / "roofline.png")
        assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_other_steps_are_refused(tmp_path):
    result, output = _run(tmp_path, "--attention=local")
    assert result.returncode != 0 and not output.exists()
    assert "--attention must be lsh" in result.stderr


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--window=chunk", "--window bucket"),
        ("--noreversible", "--reversible true"),
        ("--width=15", "--width must be a multiple of --heads"),
        ("--matmul_size=0", "matmul_size"),
        ("--precision=half", "precision"),
    ],
)
@pytest.mark.slow
def test_bad_arguments_are_refused(tmp_path, argument, message):
    result, output = _run(tmp_path, argument)
    assert result.returncode != 0 and message in result.stderr and not output.exists()

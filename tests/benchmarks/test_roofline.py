"""The roofline benchmark, run as a command in this process."""

import importlib.util
import json

import pytest

from benchmarks.stages import plot, report
from tests.trainer import command_line

TINY = ["--length=100", "--layers=2", "--width=16", "--heads=2", "--chunk_length=16", "--num_hashes=1", "--repeat=1"]
TINY += ["--matmul_size=64", "--array_mib=1", "--seconds=0"]


@pytest.fixture
def run(tmp_path, capfd):
    """Runs the command; returns its exit code, its output, and the content of its results file."""

    def run(*arguments):
        output = tmp_path / "roofline.json"
        code = command_line.run_benchmark("roofline", *TINY, f"--output={output}", *arguments)
        out, err = capfd.readouterr()
        return code, out, err, output

    return run


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)], ids=lambda x: x
)
def test_a_tiny_step(run, tmp_path, precision):
    code, said, _, output = run(f"--precision={precision}", "--local_round", "--plot=")
    assert code == 0
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
    # Two rounds of two heads in seven blocks, the last of them padded.
    assert blocks["forward"]["exponentials"] == 2 * 2 * 7 * 16 * 32
    assert attention["forward"]["flops"] > blocks["forward"]["flops"]
    counted = [s for s in stages if not s["part_of"]]
    total = sum(s["in_step"] * (s["forward"]["seconds"] + s["backward"]["seconds"]) for s in counted)
    assert measured["stages_s"] == pytest.approx(total)
    assert measured["step_s"] > 0
    assert f"the whole step, measured: {measured['step_s']:.3f} s" in said
    assert f"Not explained by the stages: {measured['step_s'] - total:.3f} s" in said
    assert report.report(measured) in said
    if importlib.util.find_spec("matplotlib"):
        plot.plot(measured, tmp_path / "roofline.png")
        assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_other_steps_are_refused(run):
    code, _, said, output = run("--attention=local")
    assert code != 0 and not output.exists()
    assert "--attention must be lsh" in said


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
def test_bad_arguments_are_refused(run, argument, message):
    code, _, said, output = run(argument)
    assert code != 0 and message in said and not output.exists()

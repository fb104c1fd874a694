"""The folder that takes a plan to another machine."""

import pathlib
import sys

import pytest

from compilers.processes import limited_process
from compilers.runs import gpu_folder, gpu_plan
from compilers.runs.gpu_plan import Plan, Point

STEPS = [Point(gpu_plan.CHECK, 64, ["step"], lowers=True), Point("lsh local", 128, ["step", "--layers=2"], 9, "", True)]
OTHER = Point("one call", 128, ["other"], 5, "torch")
PLAN = Plan([*STEPS, OTHER], "NVIDIA H200", 1.0, {"layers": 2})


def test_steps_are_lowered_into_the_folder(monkeypatch, tmp_path):
    def run(command, timeout):
        commands.append(command)
        return {"status": limited_process.DONE, "program_bytes": 2**20}

    commands: list[list[str]] = []
    monkeypatch.setattr(limited_process, "run", run)
    folder = tmp_path / "new"
    gpu_folder.write(PLAN, folder, repeat=5, trees=("benchmarks", "compilers"))
    assert commands == [
        [sys.executable, "-m", "step", f"--program={folder / 'check_64.hlo'}"],
        [sys.executable, "-m", "step", "--layers=2", f"--program={folder / 'lsh_local_128.hlo'}"],
    ]
    check, step, other = gpu_plan.load(folder / gpu_plan.FILE).points
    run_there = "compilers.runs.lowered_step"
    assert check.command == [run_there, "--program=check_64.hlo", "--repeat=5", "--check"]
    assert step == Point("lsh local", 128, [run_there, "--program=lsh_local_128.hlo", "--repeat=5"], 9)
    assert other == OTHER
    for path in ("benchmarks/prepared_gpu_step.py", "compilers/runs/lowered_step.py"):
        assert (folder / path).is_file()
    assert not [*folder.rglob("__pycache__")]


def test_a_step_that_is_not_lowered_ends_the_command(monkeypatch, tmp_path):
    failed = {"status": limited_process.FAILED, "reason": "no such layer"}
    monkeypatch.setattr(limited_process, "run", lambda *_: failed)
    with pytest.raises(SystemExit, match="Error: .*check_64.hlo was not written: failed, no such layer"):
        gpu_folder.write(PLAN, tmp_path, repeat=1, trees=())
    assert not (tmp_path / gpu_plan.FILE).exists()


def test_a_folder_inside_of_what_is_copied_is_refused():
    folder = pathlib.Path(gpu_folder.__file__).parent / "prepared"
    with pytest.raises(
        ValueError, match="must not be inside of compilers/, which is copied to it. Received: .*prepared"
    ):
        gpu_folder.write(PLAN, folder, repeat=1, trees=("benchmarks", "compilers"))
    assert not folder.exists()

"""A plan for a GPU: saved, run, reported; and the folder that takes it to another machine."""

import json
import pathlib

import pytest

from benchmarks.measuring import gpu_folder, gpu_plan, point_process
from benchmarks.measuring.gpu_plan import Plan
from benchmarks.measuring.limited_time import Point
from benchmarks.reports import gpu_step
from tools import imports

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHECK = {"passed": True, "loss_error": 1e-7, "gradient_error": 2e-6}
STEP = {"step_s": 0.5, "run_s": 1.5, "temporary_bytes": 3 * 2**30, "peak_bytes": None}
PLAN = Plan(
    [
        Point(gpu_plan.CHECK, 64, ["check"]),
        Point("lsh", 1000, ["gpu"], 1, 200),
        Point("one call", 1000, ["no_module", "--framework=no_such_package"], 2, 10),
        Point("lsh", 2000, ["cpu"], 1, 400),
        Point("full", 1000, ["fails"], 2, 300),
    ],
    peak=1000.0,
    about={"layers": 2},
)


@pytest.fixture
def processes(monkeypatch):
    """The results by the module of the process."""
    results = {
        "check": {"status": "done", **CHECK},
        "gpu": {"status": "done", "device": "NVIDIA", **STEP},
        "cpu": {"status": "done", "device": "cpu", **STEP},
        "fails": {"status": "failed", "reason": "exit code 1: Traceback\nValueError: no"},
    }
    monkeypatch.setattr(point_process, "run", lambda command, *_: {**results[command[2]], "seconds": 4.0})


def test_a_run(processes, tmp_path, capsys):
    found = gpu_plan.run(PLAN, 100.0, tmp_path / "out.json", gpu_step.line)
    assert json.loads((tmp_path / "out.json").read_text()) == found
    assert found["layers"] == 2 and found["peak"] == 1000.0 and found["not_installed"] == ["no_such_package"]
    # 200 operations in half a second are 400 of 1000; what a CPU does is no share of a GPU's peak.
    assert [p.get("share_of_peak") for p in found["points"]] == [None, 0.4, None, None]
    assert capsys.readouterr().out.splitlines() == [
        "check, 64 tokens: equal; loss 1.0e-07, gradients 2.0e-06 off",
        "lsh, 1,000 tokens: 500.0 ms, 2,000 tokens/s, 40.0% of the peak, 3.00 GiB temporary; NVIDIA, 4 s in all",
        "lsh, 2,000 tokens: 500.0 ms, 4,000 tokens/s, 3.00 GiB temporary; cpu, 4 s in all",
        "full, 1,000 tokens: failed (ValueError: no)",
    ]


def test_results_are_written_after_each_point(processes, tmp_path):
    def report(point):
        seen.append(len(json.loads((tmp_path / "out.json").read_text())["points"]))
        return ""

    seen: list[int] = []
    gpu_plan.run(PLAN, 100.0, tmp_path / "out.json", report)
    assert seen == [1, 2, 3, 4]


def test_a_saved_plan(tmp_path):
    gpu_plan.save(PLAN, tmp_path / "plan.json")
    assert gpu_plan.load(tmp_path / "plan.json") == PLAN


def test_the_folder_has_all_that_its_files_import(tmp_path):
    gpu_folder.write(PLAN, tmp_path / "new")
    assert gpu_plan.load(tmp_path / "new" / gpu_plan.FILE) == PLAN
    found = [imports.find_imports(tmp_path / "new", source) for source in gpu_folder.SOURCES]
    assert {file for one in found for file in one.files} <= {*gpu_folder.SOURCES}
    assert {name for one in found for name in one.packages} == {"jax", "jaxlib", "numpy", "torch"}
    for source in gpu_folder.SOURCES:
        assert (ROOT / source).read_text() == (tmp_path / "new" / source).read_text()

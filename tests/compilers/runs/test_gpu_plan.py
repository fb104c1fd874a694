"""A plan for a GPU: saved, run while time lasts, reported."""

import json
import os

import pytest

from compilers.processes import limited_process
from compilers.runs import gpu_plan
from compilers.runs.gpu_plan import Plan, Point

CHECK = {"passed": True, "loss_error": 1e-7, "gradient_error": 2e-6, "device": "NVIDIA H200"}
STEP = {"step_s": 0.5, "temporary_bytes": 3 * 2**30, "peak_bytes": None}
PLAN = Plan(
    [
        Point(gpu_plan.CHECK, 64, ["check"]),
        Point("lsh", 1000, ["gpu"], 200),
        Point("one call", 1000, ["no_module"], 10, "no_such_package"),
        Point("lsh", 2000, ["other"], 400),
        Point("full", 1000, ["fails"], 300),
    ],
    gpu="NVIDIA H200",
    peak=1000.0,
    about={"layers": 2},
)


@pytest.fixture
def processes(monkeypatch):
    """The results by the module of the process, which tests may change."""
    results = {
        "check": {"status": "done", **CHECK},
        "gpu": {"status": "done", "device": "NVIDIA H200", **STEP},
        "other": {"status": "done", "device": "NVIDIA GH200", **STEP},
        "fails": {"status": "failed", "reason": "exit code 1: Traceback\nValueError: no"},
    }
    monkeypatch.setattr(limited_process, "run", lambda command, *_: {**results[command[2]], "seconds": 4.0})
    return results


def _run(tmp_path, cpu=False):
    return gpu_plan.run(PLAN, 100.0, tmp_path / "out.json", cpu)


def test_a_run(processes, tmp_path, capsys):
    found = _run(tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == found
    assert found["layers"] == 2 and found["peak"] == 1000.0 and found["not_installed"] == ["no_such_package"]
    assert found["machine"]["versions"]["numpy"] and os.listdir(tmp_path) == ["out.json"]
    # 200 operations in half a second are 400 of 1000; of another GPU the peak is not known.
    assert [p.get("share_of_peak") for p in found["points"]] == [None, 0.4, None, None]
    assert capsys.readouterr().out.splitlines() == [
        "check, 64 tokens: equal; loss 1.0e-07, gradients 2.0e-06 off; NVIDIA H200",
        "lsh, 1,000 tokens: 500.0 ms, 2,000 tokens/s, 40.0% of the peak, 3.00 GiB temporary; NVIDIA H200, 4 s in all",
        "lsh, 2,000 tokens: 500.0 ms, 4,000 tokens/s, 3.00 GiB temporary; NVIDIA GH200, 4 s in all",
        "full, 1,000 tokens: failed (ValueError: no)",
    ]
    assert gpu_plan.failure(found) == "1 of 4 points failed"


@pytest.mark.parametrize(
    ("module", "result", "failure"),
    [
        ("fails", {"status": "no_time", "reason": "over"}, ""),
        ("fails", {"status": "done", "device": "NVIDIA H200", **STEP}, ""),
        ("check", {**CHECK, "status": "done", "passed": False}, "the numbers of the device are not those of the CPU"),
        ("check", {"status": "no_time", "reason": "over"}, "or were not compared"),
        ("gpu", {"status": "out_of_memory", "reason": "killed"}, "2 of 4 points failed"),
    ],
)
def test_what_is_no_success(processes, tmp_path, module, result, failure):
    processes[module] = result
    found = gpu_plan.failure(_run(tmp_path))
    assert (failure in found) if failure else not found


def test_without_a_gpu_nothing_is_measured(processes, tmp_path, capsys):
    for result in processes.values():
        result["device"] = "cpu"
    with pytest.raises(ValueError, match="there must be a GPU, or --cpu, .* Received: device cpu"):
        _run(tmp_path)
    assert not capsys.readouterr().out and not os.listdir(tmp_path)
    found = _run(tmp_path, cpu=True)
    assert [p.get("share_of_peak") for p in found["points"]] == [None] * 4
    assert "2.0e-06 off; cpu" in capsys.readouterr().out


def test_results_are_written_after_each_point(processes, tmp_path, monkeypatch):
    def line(point):
        seen.append(len(json.loads((tmp_path / "out.json").read_text())["points"]))
        return ""

    seen: list[int] = []
    monkeypatch.setattr(gpu_plan, "line", line)
    _run(tmp_path)
    assert seen == [1, 2, 3, 4]


def test_earlier_results_stay(processes, tmp_path):
    (tmp_path / "out.json").write_text("earlier")
    with pytest.raises(ValueError, match="--output must be a new file. Received: .*out.json"):
        _run(tmp_path)
    assert (tmp_path / "out.json").read_text() == "earlier"


def test_a_saved_plan(tmp_path):
    gpu_plan.save(PLAN, tmp_path / "plan.json")
    assert gpu_plan.load(tmp_path / "plan.json") == PLAN


@pytest.fixture
def measured(monkeypatch):
    """Processes that take 10 s for each 1,000 tokens; returns the clock and the points that ran."""
    ran, now = [], [100.0]

    def run(command, timeout):
        *_, length = command
        ran.append((int(length), timeout))
        seconds = min(int(length) / 100, timeout)
        now[0] += seconds
        if seconds == timeout:
            return {"status": limited_process.TIMEOUT, "seconds": seconds, "reason": f"not done after {timeout:g} s"}
        return {"status": limited_process.DONE, "seconds": seconds, "device": "cpu", "step_s": 1.0}

    monkeypatch.setattr(limited_process, "run", run)
    return ran, lambda: now[0]


def _points(tmp_path, seconds, clock):
    plan = Plan([Point("step", length, ["module", str(length)], 5) for length in (1000, 2000, 4000)], "GPU", 1.0, {})
    return gpu_plan.run(plan, seconds, tmp_path / "out.json", True, clock)["points"]


def test_all_points_that_fit(measured, tmp_path):
    ran, clock = measured
    results = _points(tmp_path, 80.0, clock)
    assert [(r["subject"], r["length"], r["operations"], r["status"]) for r in results] == [
        ("step", length, 5, "done") for length in (1000, 2000, 4000)
    ]
    # Each may take all the time that is left.
    assert ran == [(1000, 80.0), (2000, 70.0), (4000, 50.0)]


def test_at_the_limit_a_point_is_ended_and_the_others_are_left_out(measured, tmp_path):
    ran, clock = measured
    results = _points(tmp_path, 20.0, clock)
    assert [r["status"] for r in results] == ["done", "no_time", "no_time"]
    assert [r.get("reason") for r in results] == [None, "not done after 10 s", "the 20 s are over"]
    assert ran == [(1000, 20.0), (2000, 10.0)]

"""The commands as processes: exit codes, output, and the folder after a kill."""

import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.trainer import command_line, runs
from trainer import exits

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = "--config=configs/tiny.py"


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Flags for the tiny config: a small corpus and a model that is quick to trace."""
    corpus = runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")
    small = {
        "data.name": "text",
        "data.path": corpus,
        "data.validation_fraction": 0.2,
        "model.num_layers": 1,
        "model.attention_layers": '("local",)',
        "model.reversible": False,
        "model.dropout": 0.1,
        "train.steps": 100,
        "train.eval_every": 50,
        "train.checkpoint_every": 1,
        "export": False,
        "report": False,
    }
    return [f"--config.{name}={value}" for name, value in small.items()]


def _start(module, *arguments, limit=resource.RLIM_INFINITY):
    return subprocess.Popen(
        [sys.executable, "-m", f"trainer.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


def _finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def _wait_for_a_line(process):
    """Waits until the run has made a step; returns False if all its steps were made before."""
    for line in process.stdout:
        if re.match(r"step +\d+/", line):  # An evaluation that is still due comes before.
            said = r"step +\d+/100  loss \d\.\d{4}  bits/byte \d\.\d{4}  [\d,]+ tokens/s  [-\d]:[-\d]{2} left\n"
            assert re.fullmatch(said, line), line
            return True
        if line.startswith("The run is done"):
            return False
    pytest.fail(process.stderr.read())


def _interrupted(interrupt, workdir, *flags):
    """Starts a run and interrupts it after its first line; returns its code, and what it said from then on.

    Steps are fast: a run that was done before the interruption came is begun anew.
    """
    for _ in range(10):
        process = _start("task", TINY, f"--workdir={workdir}", *flags, "--config.train.checkpoint_every=10000")
        assert _wait_for_a_line(process)
        interrupt(process)
        # A closed output is not read.
        out, err = ("", process.stderr.read()) if process.stdout.closed else process.communicate(timeout=300)
        code = process.wait(timeout=300)
        if code != exits.DONE:
            return code, out, err
        shutil.rmtree(workdir)
    pytest.fail("The run was always done before it was interrupted.")


def _assert_complete(workdir, undisturbed):
    assert runs.lines(workdir) == runs.lines(undisturbed)
    names = [path.name for path in sorted((workdir / "checkpoints").iterdir())]
    assert names[-3:] == [f"step-{step:08d}.safetensors" for step in (98, 99, 100)]
    assert names == [path.name for path in sorted((undisturbed / "checkpoints").iterdir())]


@pytest.fixture(scope="module")
def undisturbed(flags, tmp_path_factory):
    """In this process, unlike the runs that are compared with it."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert command_line.run("task", TINY, f"--workdir={workdir}", *flags) == exits.DONE
    return workdir


@pytest.mark.parametrize("kills", [pytest.param(1, id="1"), pytest.param(12, id="12", marks=pytest.mark.slow)])
def test_stopped_by_a_signal_and_killed_at_any_moment(flags, undisturbed, tmp_path, kills):
    """With a checkpoint at each step, so that many kills come while one is being written."""
    _stop(signal.SIGTERM, flags, undisturbed, tmp_path)
    rng = random.Random(kills)
    for _ in range(kills):
        process = _start("task", TINY, f"--workdir={tmp_path}", *flags)
        if not _wait_for_a_line(process):
            _finish(process)
            break
        time.sleep(rng.uniform(0, 0.6))
        process.kill()
        assert _finish(process)[0] in (-signal.SIGKILL, exits.DONE)
    code, _, err = _finish(_start("task", TINY, f"--workdir={tmp_path}", *flags))
    assert code == exits.DONE, err
    _assert_complete(tmp_path, undisturbed)


def _stop(number, flags, undisturbed, workdir):
    """A stop saves a step at which no checkpoint is due, and says so."""
    code, out, err = _interrupted(lambda process: process.send_signal(number), workdir, *flags)
    assert code == exits.STOPPED == 75, err
    (step,) = re.findall(r"Stopped at step (\d+)\. The state is saved; the same command goes on from there\.", out)
    assert f"step-{int(step):08d}.safetensors" in os.listdir(workdir / "checkpoints")
    assert runs.lines(workdir) == runs.lines(undisturbed)[: len(runs.lines(workdir))]


@pytest.mark.slow
def test_a_lost_terminal_is_a_request_to_stop(flags, undisturbed, tmp_path):
    _stop(signal.SIGHUP, flags, undisturbed, tmp_path)


@pytest.mark.slow
def test_an_output_that_nobody_reads_is_a_request_to_stop(flags, undisturbed, tmp_path):
    """As in `python -m trainer.task ... | head`."""
    code, _, err = _interrupted(lambda process: process.stdout.close(), tmp_path, *flags)
    assert code == exits.STOPPED, err
    assert "Traceback" not in err and "Broken" not in err
    lines = runs.lines(tmp_path)
    assert lines == runs.lines(undisturbed)[: len(lines)]
    assert f"step-{lines[-1]['step']:08d}.safetensors" in os.listdir(tmp_path / "checkpoints")
    code, _, err = _finish(_start("task", TINY, f"--workdir={tmp_path}", *flags))
    assert code == exits.DONE, err
    assert runs.lines(tmp_path) == runs.lines(undisturbed)


def test_a_finished_run_is_evaluated(undisturbed):
    started = _start(
        "evaluate", f"--workdir={undisturbed}", "--config.model.num_hashes=4", f"--config.data.path={__file__}"
    )
    code, evaluated, err = _finish(started)
    assert code == exits.DONE, err
    numbers = json.loads(evaluated.splitlines()[-1])
    assert numbers["step"] == 100
    assert numbers["bits_per_byte"] > 0
    assert numbers["bytes"] == os.path.getsize(__file__)


def test_a_finished_run_writes_text(undisturbed, capfd):
    settings = ("--prompt=abc", "--tokens=5", "--samples=2", "--sampler=top_k")
    assert command_line.run("generate", f"--workdir={undisturbed}", *settings) == exits.DONE
    generated = capfd.readouterr().out
    first, second = generated.removeprefix("==> sample 1 of 2, seed 0 <==\n").split("\n==> sample 2 of 2, seed 1 <==\n")
    assert first.startswith("abc") and second.startswith("abc")


def test_a_finished_run_is_exported(undisturbed, tmp_path, capsys):
    assert (
        command_line.run("export", f"--workdir={undisturbed}", f"--output={tmp_path}", "--checkpoint=99") == exits.DONE
    )
    assert os.listdir(tmp_path) == ["1"]
    assert "The model of step 99 is in" in capsys.readouterr().out


@pytest.mark.slow
def test_files_that_may_not_grow(flags, undisturbed, tmp_path):
    """There is space for the metrics but not for checkpoints; later there is space for both."""
    options = [f"--workdir={tmp_path}", *flags, "--config.train.checkpoint_every=40", "--config.train.log_every=10"]
    limited = _start("task", TINY, *options, limit=20_000)
    code, _, err = _finish(limited)
    assert code == exits.NOT_SAVED == 74, err
    assert re.search(
        r"The checkpoint of step 40 could not be written: .*File too large.*\. There is no checkpoint yet\. The run "
        r"goes on and tries again at step 80 at the latest\.",
        err,
    )
    assert re.search(r"The checkpoint of step 100 could not be written: .* the same command begins anew once", err)
    assert not list((tmp_path / "checkpoints").iterdir())
    code, _, err = _finish(_start("task", TINY, *options))
    assert code == exits.DONE, err
    logged = [line for line in runs.lines(undisturbed) if line["step"] == 1 or line["step"] % 10 == 0]
    assert runs.lines(tmp_path) == logged


def test_deterministic_ops_and_a_profile(flags, tmp_path):
    """With LSH attention, which scatters: an operation that is not deterministic would be an error."""
    options = {"deterministic_ops": True, "profile_start": 2, "profile_steps": 1, "steps": 3, "eval_every": -1}
    options = [f"--config.train.{name}={value}" for name, value in {**options, "precision": "mixed_bfloat16"}.items()]
    options += ["--config.model.reversible=True", "--config.model.num_hashes=1"]
    flags = [flag.replace("local", "lsh") for flag in flags]
    code, _, err = _finish(_start("task", TINY, f"--workdir={tmp_path}", *flags, *options))
    assert code == exits.DONE, err
    assert list(tmp_path.glob("tensorboard/plugins/profile/*/*.xplane.pb"))

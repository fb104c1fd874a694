"""The script that restarts a run, with fake runs that end with given codes."""

import os
import pathlib
import signal
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "examples" / "keep_running.sh"


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _start(command, ignored=None, **options):
    variables = {"KEEP_RUNNING_WAIT": "0", **{f"KEEP_RUNNING_{name}": value for name, value in options.items()}}
    return subprocess.Popen(
        [SCRIPT, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        start_new_session=True,
        # Whatever the tests themselves were started with.
        preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN if n == ignored else signal.SIG_DFL) for n in SIGNALS],
    )


def _run(command, **options):
    process = _start(command, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _ends_with(folder, *codes):
    """Makes a command that ends with these codes, one at each start, and prints its arguments."""
    (folder / "codes").write_text("\n".join(map(str, codes)) + "\n")
    program = f"""
        echo "$@"
        read -r code < {folder}/codes
        sed -i 1d {folder}/codes
        [[ $code == kill ]] && kill -KILL $$
        exit $code
    """
    return ["bash", "-c", program, "stand-in", "--workdir=a b", "*"]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 74, 130])
def test_it_ends_with_what_is_final(tmp_path, code):
    assert _run(_ends_with(tmp_path, 69, 75, "kill", code, 0))[:2] == (code, "--workdir=a b *\n" * 4)
    assert (tmp_path / "codes").read_text() == "0\n"


def test_it_gives_up_a_run_that_does_not_go_well(tmp_path):
    code, out, err = _run(_ends_with(tmp_path, 75, 69, "kill", 0), STARTS="2")
    assert (code, out.count("\n")) == (137, 3)
    assert "the run ended with 75 after" in err and "New start 2 in 0 s." in err
    assert "the run ended with 137 after 0 s. Given up after 2 new start(s) in a row." in err


def test_a_run_that_went_well_is_not_counted(tmp_path):
    code, _, err = _run(_ends_with(tmp_path, *[75] * 4, 0), STARTS="1", WELL="0")
    assert code == 0
    assert err.count("New start 1 in 0 s.") == 4


def test_it_waits_longer_and_longer(tmp_path):
    """With a fake `sleep`, too."""
    (tmp_path / "sleep").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/waits\n')
    (tmp_path / "sleep").chmod(0o755)
    command = ["env", f"PATH={os.environ['PATH']}", *_ends_with(tmp_path, *[75] * 5, 0)]
    variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    variables.update(KEEP_RUNNING_WAIT="5", KEEP_RUNNING_LONGEST="30")
    assert subprocess.run([SCRIPT, *command], env=variables, capture_output=True, timeout=60).returncode == 0
    assert (tmp_path / "waits").read_text().split() == ["5", "10", "20", "30", "30"]


def _until_told(number):
    """Makes a command that prints when it has started and when it gets a signal."""
    program = f"""
        trap 'echo told; exit 75' {number.value}
        echo started
        for _ in $(seq 600); do sleep 0.1; done
    """
    return ["bash", "-c", program]


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_told_to_end_is_told_so_and_not_started_again(number):
    process = _start(_until_told(number))
    assert process.stdout.readline() == "started\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (75, "told\n")


def test_a_hangup_under_nohup():
    process = _start(_until_told(signal.SIGTERM), ignored=signal.SIGHUP)
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGHUP)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (75, "told\n")


def test_a_stop_between_two_starts(tmp_path):
    process = _start(_ends_with(tmp_path, 75, 0), WAIT="600")
    while "New start" not in process.stderr.readline():
        pass
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert (tmp_path / "codes").read_text() == "0\n"


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ([], {}, "there must be a command to run. Received: none"),
        (["true"], {"WAIT": "5s"}, "must be whole numbers. Received: 5s"),
        (["true"], {"LONGEST": "08"}, "must be whole numbers. Received: 08"),
    ],
)
def test_what_is_refused(command, options, message):
    code, _, err = _run(command, **options)
    assert code == 2
    assert message in err

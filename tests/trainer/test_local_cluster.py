"""Local processes: each gets its task, and when one dies the others end."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from trainer import local_cluster

SHOW = "import os, json; task = json.loads(os.environ['TF_CONFIG'])['task']; print(task['type'], task['index'])"
WAIT = "import time; time.sleep(600)"
# Worker 1 ends with 3, worker 0 would go on for long.
ONE_FAILS = f"{SHOW}; import sys, time; sys.exit(3) if task['index'] else time.sleep(600)"


def _start(code, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.local_cluster", *options, "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _children(process):
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name_and_rest = status.read_text().rsplit(")", 1)
        except OSError:
            continue
        if int(name_and_rest[1].split()[1]) == process.pid:
            found.append(int(status.parent.name))
    return found


def _wait_for_children(process, count):
    until = time.monotonic() + 60
    while len(_children(process)) < count and time.monotonic() < until:
        time.sleep(0.05)
    return _children(process)


def test_every_process_knows_what_it_is():
    the_chief_is_last = f"{SHOW}; import time; time.sleep(3 * (task['type'] == 'chief'))"
    process = _start(the_chief_is_last, "--workers=2", "--parameter_servers=1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(output.splitlines()) == [
        "[chief] chief 0",
        "[ps 0] ps 0",
        "[worker 0] worker 0",
        "[worker 1] worker 1",
    ]


def test_one_that_fails_ends_the_others():
    process = _start(ONE_FAILS, "--workers=2", "--grace=0.5")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "The worker 1 ended with 3. The others are stopped." in output


def test_one_that_is_killed_ends_the_others():
    process = _start(WAIT, "--workers=3", "--grace=0.5")
    children = _wait_for_children(process, 3)
    assert len(children) == 3
    os.kill(children[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert re.search(r"The worker \d was killed by SIGKILL", output)
    assert not any(pathlib.Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_handed_on(number):
    process = _start(WAIT, "--workers=2", "--grace=5")
    assert len(_wait_for_children(process, 2)) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number


def test_an_output_that_nobody_reads_ends_all():
    """They get a signal, and their output is still read, because a full pipe would block them."""
    process = _start("while True: print('text', flush=True)", "--workers=2", "--grace=5")
    assert process.stdout.readline().endswith("text\n")
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("arguments", "parameter_servers", "expected"),
    [
        (["--workdir=d"], False, ["-m", "trainer.task", "--workdir=d", "--config.strategy=multi_worker"]),
        (["--workdir=d"], True, ["-m", "trainer.task", "--workdir=d", "--config.strategy=parameter_server"]),
        (["-config.strategy=mirrored"], False, ["-m", "trainer.task", "-config.strategy=mirrored"]),
    ],
)
def test_the_command(arguments, parameter_servers, expected):
    assert local_cluster.make_command(arguments, parameter_servers) == [sys.executable, *expected]


def test_a_command_of_ones_own():
    assert local_cluster.make_command(["python", "x.py"], False) == ["python", "x.py"]
    found = local_cluster.make_command(["python", "-m", "trainer.task", "--workdir=d"], False)
    assert found == ["python", "-m", "trainer.task", "--workdir=d", "--config.strategy=multi_worker"]

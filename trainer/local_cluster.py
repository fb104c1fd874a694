"""Trains with several processes on this machine, to try out a run for several machines.

    python -m trainer.local_cluster --workers=2 -- --config=configs/tiny.py --workdir=/tmp/two

After `--` come the flags of `python -m trainer.task`, or a command of your own. Every process gets the same, and its
own `TF_CONFIG`. If `--config.strategy` is missing, it is set to `multi_worker`, or to `parameter_server` if there are
parameter servers. When a process dies the others are stopped, so that nothing hangs; the same command goes on from the
newest checkpoint. SIGTERM, SIGHUP and Ctrl-C are passed on to the processes; an output that nobody reads any more
counts as a SIGTERM.
"""

from trainer.commands import entry

if __name__ == "__main__":
    entry.begin(entry.STOP)

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from absl import app, flags

from trainer import exits
from trainer.commands import command_line
from trainer.distribution.cluster import VARIABLE, Task

_WORKERS = flags.DEFINE_integer("workers", 2, "Number of workers.", lower_bound=1)
_PARAMETER_SERVERS = flags.DEFINE_integer(
    "parameter_servers", 0, "Number of parameter servers; with any, a chief leads the workers.", lower_bound=0
)
_GRACE = flags.DEFINE_float(
    "grace", 20.0, "Seconds that the others have to end by themselves when a process died.", lower_bound=0.0
)
flags.register_validator("grace", math.isfinite, "must be a finite number of seconds")
_FLAG = "--config.strategy"


class Processes:
    """The processes of a cluster on this machine.

    Attributes:
        stopping: Whether the processes were asked to stop.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._started: list[tuple[Task, subprocess.Popen]] = []
        self._readers: list[threading.Thread] = []

    def start(self, tasks: Sequence[Task], command: Sequence[str]) -> None:
        """Starts the processes.

        Args:
            tasks: Task of each process.
            command: Command of each process.
        """
        for task in tasks:
            process = subprocess.Popen(
                command,
                env={**os.environ, VARIABLE: task.to_json(), "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches each process once, through this one.
            )
            self._started.append((task, process))
            reader = threading.Thread(target=_hand_on, args=(process.stdout, f"[{task.name}] "), daemon=True)
            reader.start()
            self._readers.append(reader)

    def wait(self, grace: float) -> int:
        """Waits until all processes have ended, or until one has failed and the others are stopped.

        Args:
            grace: Seconds that the others have to end once one has failed.

        Returns:
            The exit code of the cluster: 0 if all processes returned 0, else that of the first failed one.
        """
        while not self._failed() and self._under_way(servers=False):
            time.sleep(0.1)
        failed = self._failed()
        if failed:
            for task, process in failed:
                if not (self.stopping and process.returncode == exits.STOPPED):
                    print(f"The {task.name} {_how(process.returncode)}. The others are stopped.", file=sys.stderr)
            self._end_within(grace)
        self._signal(signal.SIGTERM)  # To the servers: only they are left.
        self._end_within(grace, servers=True)
        for reader in self._readers:
            reader.join(timeout=5.0)
        code = failed[0][1].returncode if failed else 0
        return code if code >= 0 else 128 - code

    def stop(self, number: int) -> None:
        """Asks all processes that are no servers to stop; servers must outlive them."""
        self.stopping = True
        self._signal(number, servers=False)

    def kill(self) -> None:
        """Kills the processes that still run."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int, servers: bool = True) -> None:
        for process in self._under_way(servers):
            process.send_signal(number)

    def _end_within(self, seconds: float, servers: bool = False) -> None:
        """Waits for the processes, with the servers if `servers`, and kills those that take too long."""
        until = time.monotonic() + seconds
        while self._under_way(servers) and time.monotonic() < until:
            time.sleep(0.1)
        self._signal(signal.SIGKILL, servers)
        for process in self._under_way(servers):
            process.wait()

    def _under_way(self, servers: bool = True) -> list[subprocess.Popen]:
        return [
            process for task, process in self._started if process.poll() is None and (servers or not self._serves(task))
        ]

    def _serves(self, task: Task) -> bool:
        """Whether the process is a server, which does not end by itself: with a chief, all others are."""
        return "ps" in task.cluster and task.kind != "chief"

    def _failed(self) -> list[tuple[Task, subprocess.Popen]]:
        ended = [(task, process) for task, process in self._started if process.poll() is not None]
        return [(task, process) for task, process in ended if process.returncode]


def _hand_on(stream: IO[bytes], prefix: str) -> None:
    for line in stream:
        sys.stdout.buffer.write(prefix.encode() + line)
        sys.stdout.flush()


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    return f"was killed by {signal.Signals(-code).name}"


def make_tasks(workers: int, parameter_servers: int) -> list[Task]:
    """Makes the tasks of a cluster on free ports of this machine, that of the chief first."""
    kinds = {"chief": 1 if parameter_servers else 0, "worker": workers, "ps": parameter_servers}
    ports = iter(_free_ports(sum(kinds.values())))
    cluster = {kind: [f"localhost:{next(ports)}" for _ in range(count)] for kind, count in kinds.items() if count}
    return [Task(cluster, kind, index) for kind, addresses in cluster.items() for index in range(len(addresses))]


def make_command(arguments: Sequence[str], parameter_servers: bool) -> list[str]:
    """Makes the command of every process.

    Args:
        arguments: Arguments after `--`: flags of `trainer.task`, or a command.
        parameter_servers: Whether the cluster has parameter servers.
    """
    if not arguments or arguments[0].startswith("-"):
        arguments = [sys.executable, "-m", "trainer.task", *arguments]
    named = any(argument.split("=")[0] in (_FLAG, _FLAG[1:]) for argument in arguments)
    if "trainer.task" in arguments and not named:
        arguments = [*arguments, f"{_FLAG}={'parameter_server' if parameter_servers else 'multi_worker'}"]
    return list(arguments)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for open_socket in sockets:  # All at once, so that no two are the same.
            open_socket.bind(("localhost", 0))
        return [open_socket.getsockname()[1] for open_socket in sockets]
    finally:
        for open_socket in sockets:
            open_socket.close()


def main(arguments: list[str]) -> int:
    """Runs the cluster and returns the exit code."""
    command = make_command(arguments[1:], _PARAMETER_SERVERS.value > 0)
    processes = Processes()

    def hand_on(number: int, frame: object) -> None:
        processes.stop(number)

    with entry.STOP as stop:
        for number in exits.stop_signals():
            signal.signal(number, hand_on)
        if stop.requested:
            return exits.STOPPED
        try:
            try:
                processes.start(make_tasks(_WORKERS.value, _PARAMETER_SERVERS.value), command)
            except OSError as error:  # No such command, or too few ports or processes.
                return command_line.refuse(error)
            return processes.wait(_GRACE.value)
        finally:
            processes.kill()


if __name__ == "__main__":
    entry.run(lambda: app.run(main, flags_parser=command_line.parse_flags_before_a_command))

"""The processes of a run on several machines, as TensorFlow's `TF_CONFIG` describes them.

`TF_CONFIG` is an environment variable that holds JSON, the same `cluster` in every process and another `task`:

    {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

from trainer import json_text

VARIABLE = "TF_CONFIG"
KINDS = ("chief", "worker", "ps")
TRY_OUT = "To try it out on this machine: python -m trainer.local_cluster --workers=2 -- FLAGS."


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Attributes:
        cluster: Addresses, `host:port`, of the processes of each kind: `chief` (one at most), `worker` and `ps` (the
            parameter servers).
        kind: Kind of this process, one of `KINDS`.
        index: Index of this process among those of its kind.
    """

    cluster: Mapping[str, Sequence[str]]
    kind: str
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run: the chief, or the first worker where there is none."""
        return self.kind == "chief" or ("chief" not in self.cluster and (self.kind, self.index) == ("worker", 0))

    @property
    def name(self) -> str:
        """Name of the process in messages."""
        return self.kind if self.kind == "chief" else f"{self.kind} {self.index}"

    def to_json(self) -> str:
        """Returns the value of `TF_CONFIG` for this process."""
        return json.dumps({"cluster": dict(self.cluster), "task": {"type": self.kind, "index": self.index}})


def from_environment() -> Task | None:
    """Reads `TF_CONFIG`.

    Returns:
        The task of this process, or `None` if the variable is not set or names no cluster.

    Raises:
        ValueError: If its value is malformed; the message names the rule and what was received.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        fields = json_text.parse(text)
    except ValueError as error:
        raise ValueError(f"`{VARIABLE}` must be JSON. Received: {text!r}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("cluster", {}), dict):
        raise ValueError(f"`{VARIABLE}` must be an object with the objects `cluster` and `task`. Received: {text!r}")
    cluster = {kind: _addresses(kind, addresses) for kind, addresses in fields.get("cluster", {}).items()}
    if not cluster:
        return None
    task = fields.get("task")
    if not isinstance(task, dict) or not {"type", "index"} <= task.keys():
        raise ValueError(f"`{VARIABLE}` must have a `task` with `type` and `index`. Received: {text!r}")
    return make_task(cluster, task["type"], task["index"])


def make_task(cluster: Mapping[str, Sequence[str]], kind: str, index: int | str) -> Task:
    """Checks the description of a process and makes its task.

    Args:
        cluster: Addresses of the processes of each kind.
        kind: Kind of this process.
        index: Index of this process among those of its kind.

    Raises:
        ValueError: If the cluster has an unknown kind of processes, or no such process.
    """
    unknown = sorted(set(cluster) - set(KINDS))
    if unknown:
        raise ValueError(f"A cluster must have processes of the kinds {', '.join(KINDS)} only. Received: {unknown}")
    if len(cluster.get("chief", ())) > 1:
        raise ValueError(f"A cluster must have one chief at most. Received: {list(cluster['chief'])}")
    addresses = [address for members in cluster.values() for address in members]
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"The processes of a cluster must have addresses of their own. Received: {sorted(addresses)}")
    try:
        number = int(index)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The index of a task must be an integer. Received: {index!r}") from error
    count = len(cluster.get(kind, ()))
    if not 0 <= number < count:
        counts = ", ".join(f"{len(members)} {name}" for name, members in cluster.items())
        raise ValueError(f"The task must be one of the cluster's, which has {counts}. Received: {kind!r} {index!r}")
    return Task(cluster, kind, number)


def _addresses(kind: str, addresses: object) -> list[str]:
    if isinstance(addresses, dict):  # Some platforms number the addresses and leave out failed processes.
        addresses = [addresses[number] for number in sorted(addresses, key=int)]
    if not isinstance(addresses, list) or not all(isinstance(address, str) and ":" in address for address in addresses):
        raise ValueError(f"`{VARIABLE}` must list the `host:port` of each {kind}. Received: {addresses!r}")
    return addresses

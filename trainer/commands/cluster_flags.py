"""Flags that describe the cluster and this process, as an alternative to `TF_CONFIG`."""

import os

from absl import flags

from trainer.distribution import cluster

_WORKERS = flags.DEFINE_list(
    "workers", [], "Addresses, host:port, of all workers of a run on several machines, the same in every process."
)
_PARAMETER_SERVERS = flags.DEFINE_list("parameter_servers", [], "Addresses of the parameter servers, if there are any.")
_CHIEF = flags.DEFINE_string("chief", "", "Address of the process that leads a run with parameter servers.")
_TASK_TYPE = flags.DEFINE_enum("task_type", "worker", cluster.KINDS, "What this process is.")
_TASK_INDEX = flags.DEFINE_integer(
    "task_index", None, "Index of this process among those of its type, from 0 on.", lower_bound=0
)


def to_environment() -> None:
    """Sets `TF_CONFIG`, which TensorFlow reads, from the flags, if any of them is set.

    Raises:
        ValueError: If they do not describe a process of a cluster, or if `TF_CONFIG` is set as well.
    """
    listed = {"chief": [_CHIEF.value] if _CHIEF.value else [], "worker": _WORKERS.value, "ps": _PARAMETER_SERVERS.value}
    addresses = {kind: members for kind, members in listed.items() if members}
    if not addresses:
        if _TASK_INDEX.value is not None:
            raise ValueError(f"`--task_index` must come with `--workers`. Received: {_TASK_INDEX.value} alone")
        return
    if os.environ.get(cluster.VARIABLE, "").strip():
        raise ValueError(
            f"A cluster must be given by flags or by `{cluster.VARIABLE}`, not by both. "
            f"Received: {addresses} and {os.environ[cluster.VARIABLE]}"
        )
    index = 0 if _TASK_INDEX.value is None and _TASK_TYPE.value == "chief" else _TASK_INDEX.value
    if index is None:
        raise ValueError("`--workers` must come with `--task_index`, the index of this process. Received: none")
    os.environ[cluster.VARIABLE] = cluster.make_task(addresses, _TASK_TYPE.value, index).to_json()

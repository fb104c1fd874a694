"""A process that serves the chief of a run: as a parameter server, or as a worker that computes steps for it."""

import time

import tensorflow as tf

from trainer import exits
from trainer.distribution import cluster


def serves(strategy: str) -> bool:
    """Whether this process serves under that strategy and is not the chief."""
    task = cluster.from_environment()
    return strategy == "parameter_server" and task is not None and task.kind != "chief"


def serve(stop: exits.StopRequest) -> int:
    """Serves until a stop is requested. Servers outlive the chief, so that a restarted chief finds them.

    Returns:
        `exits.DONE`.
    """
    task = cluster.from_environment()
    assert task is not None
    server = tf.distribute.Server(
        tf.train.ClusterSpec(task.cluster), job_name=task.kind, task_index=task.index, protocol="grpc"
    )
    print(f"Serving as {task.name} at {server.target}.", flush=True)
    while not stop.requested:
        time.sleep(0.2)  # Not `server.join`, in which Python would see no signal.
    return exits.DONE

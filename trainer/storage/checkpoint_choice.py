"""Chooses the checkpoint that a command reads: the newest, the best of the validation, or that of a step."""

from typing import Any

import numpy as np
from absl import logging

from trainer.storage import finite_check, metrics
from trainer.storage.workdir import Workdir

NEWEST = "newest"
BEST = "best"


def is_choice(checkpoint: str) -> bool:
    """Whether a string names a checkpoint: `newest`, `best` or the number of a step."""
    return checkpoint in (NEWEST, BEST) or (checkpoint.isascii() and checkpoint.isdigit())


def check(checkpoint: str) -> None:
    """Checks that a string names a checkpoint.

    Raises:
        ValueError: If it does not.
    """
    if not is_choice(checkpoint):
        raise ValueError(f"`checkpoint` must be newest, best or the number of a step. Received: {checkpoint!r}")


def read(
    workdir: Workdir, checkpoint: str = NEWEST, metric: str = "loss"
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a checkpoint of a run.

    Args:
        workdir: Folder of the run.
        checkpoint: `newest` (of those that are not damaged), `best` or the number of a step.
        metric: The best is by this metric of the validation, among the steps that have a checkpoint:
            `config.train.best_metric`, which may be another one than when the run was made.

    Returns:
        Arrays by name and the description, which has `step`.

    Raises:
        ValueError: If there is no such checkpoint, or if it is damaged.
    """
    check(checkpoint)
    checkpoints = workdir.checkpoints()
    if checkpoint == NEWEST:
        found = checkpoints.newest()
        if found is None:
            raise ValueError(f"`workdir` must hold a checkpoint. Received: {workdir.root}")
        return found
    if checkpoint != BEST:
        return checkpoints.read(int(checkpoint))
    costs = metrics.validation_costs(metrics.read_records(workdir.metrics), metric)
    best = checkpoints.best(costs)
    if best is None:
        raise ValueError(
            "`checkpoint` must not be best where no step with a checkpoint was evaluated with a finite "
            f"{metric.replace('_', ' ')}. Received: {workdir.root}"
        )
    smallest = metrics.best_step(costs)
    if smallest != best:
        logging.warning(
            "The best validation %s is that of step %d, of which there is no checkpoint; %d is used",
            metric.replace("_", " "),
            smallest,
            best,
        )
    return checkpoints.read(best)


def read_to_go_on(
    workdir: Workdir, checkpoint: str, metric: str, set_aside: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Reads the checkpoint that a run goes on from.

    Args:
        workdir: Folder of the run.
        checkpoint: As for `read`.
        metric: As for `read`.
        set_aside: Whether to set aside damaged checkpoints that are passed over.

    Returns:
        Arrays by name and the description; None for the newest of no checkpoints.

    Raises:
        ValueError: If there is no such checkpoint, if it is damaged, or if it is not finite.
    """
    found = (
        workdir.checkpoints().newest(set_aside=set_aside) if checkpoint == NEWEST else read(workdir, checkpoint, metric)
    )
    if found is None:
        return None
    try:
        finite_check.check(found[0])  # Checkpoints older than the check in `Checkpoints.save` may hold anything.
    except finite_check.NotFiniteArraysError as error:
        there = ", ".join(map(str, workdir.checkpoints().steps()))
        raise ValueError(
            "`workdir` must hold a checkpoint that is finite; `--checkpoint=best` or `--checkpoint=STEP` goes back to "
            f"another one ({there}). Received: {workdir.root}, where at step {found[1]['step']} {error}"
        ) from error
    return found

"""Runs to begin with, written without training."""

import json

import numpy as np

from trainer import config as configs
from trainer.model import build_model
from trainer.storage import named_variables
from trainer.storage.workdir import Workdir


def write(config, folder, losses=((1, 2.0), (2, 1.0), (3, 3.0))):
    """Writes a run with a checkpoint and an evaluation at each step, and returns the arrays of each.

    Weights are random numbers, so that none is as a model initialises it.
    """
    workdir, written = Workdir(folder), {}
    names = named_variables.named_variables(build_model(config))
    for step, _ in losses:
        rng = np.random.default_rng(step)
        arrays = {
            name: rng.normal(size=variable.shape).astype(variable.dtype)
            if "float" in variable.dtype
            else np.array(variable.numpy())
            for name, variable in names.items()
        }
        workdir.checkpoints(keep=9).save(step, arrays, {"data": {}})
        written[step] = arrays
    configs.write_config(config, workdir.config)
    lines = [{"split": "validation", "step": step, "loss": loss, "tokens": 9} for step, loss in losses]
    workdir.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return written


def weights(model):
    """The values of a model's variables by name."""
    return named_variables.values(named_variables.named_variables(model))

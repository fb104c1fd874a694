"""Trains one model of the duplication table and evaluates it with other kinds of attention, in a process of its own.

    python -m benchmarks.points.duplication --trained=lsh-4 --seed=0 --workdir=DIR

The run is in DIR, so that a process that was stopped goes on from its newest checkpoint. The weights are then evaluated
with exact attention and with 8, 4, 2 and 1 rounds: all these models have the same weights, but for the rotations, which
are drawn anew `--draws` times. The last line is one JSON object: `accuracy` (of the second w, one value a draw, by what
it was evaluated with), `loss` of the last step, and `steps`.
"""

import json
from collections.abc import Iterator
from typing import Any

import keras
from absl import flags
from ml_collections import ConfigDict

from benchmarks.measuring import command_line, duplication_flags
from benchmarks.measuring.duplication_flags import EXACT
from configs import duplication_short
from trainer import config_checks, exits
from trainer.model import build_model
from trainer.training import loop
from trainer.training.evaluation import Evaluation
from trainer.training.run import Run

flags.adopt_module_key_flags(duplication_flags)  # For --help.
_TRAINED = flags.DEFINE_enum("trained", "lsh-4", duplication_flags.TRAINED, "The attention to train with.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the weights, the rotations and the sequence of examples.", lower_bound=0)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def make_config(trained: str, seed: int) -> ConfigDict:
    """Makes the config of a run: that of the flags, with a kind of attention."""
    config = duplication_short.get_config()
    flagged = command_line.arguments(duplication_flags.NAMES)
    config.train.steps, config.data.length = flagged["steps"], flagged["length"]
    config.train.sequence_length, config.model.max_sequence_length = flagged["length"] - 1, flagged["length"]
    config.model.num_buckets = 2 * (flagged["length"] // 16)  # About 8 tokens each.
    config.train.seed = config.model.seed = seed
    set_attention(config, None if trained == EXACT else int(trained.removeprefix("lsh-")))
    return config


def set_attention(config: ConfigDict, rounds: int | None) -> None:
    """Sets the attention of the model: LSH with so many rounds, or exact attention with shared queries and keys."""
    model = config.model
    del model.attention_options
    if rounds is None:
        model.attention_layers, model.attention_options = ("full",), ConfigDict({"full": {"shared_query_key": True}})
    else:
        model.attention_layers, model.attention_options = ("lsh",), ConfigDict({"lsh": {"local_round": False}})
        model.num_hashes = rounds


def train(run: Run) -> float:
    """Trains to the end, and returns the loss of the last step.

    Raises:
        RuntimeError: if the run ends before.
    """
    code = loop.train(run, exits.StopRequest())
    if code != exits.DONE:
        raise RuntimeError(f"The run in {run.workdir.root} ended with code {code}.")
    return float([line for line in run.files.records() if line["split"] == "train"][-1]["loss"])


def accuracies(run: Run, rounds: int | None, draws: int) -> Iterator[float]:
    """Evaluates the weights of a run with another attention.

    Args:
        run: the run.
        rounds: rounds of hashing; None for exact attention.
        draws: number of draws of rotations.

    Returns:
        An iterator of the accuracy of the targets, one a draw; one for exact attention.
    """
    other = run.config.copy_and_resolve_references()
    set_attention(other, rounds)
    config_checks.check_config(other)
    evaluated = build_model(other)
    for variable, weight in zip(evaluated.trainable_variables, run.model.trainable_variables, strict=True):
        variable.assign(weight)
    evaluation = Evaluation(evaluated, run.strategy, run.validation_examples(), 50, jit_compile=True, task=run.task)
    if rounds is None:
        yield evaluation.run()["accuracy"]
        return
    for draw in range(draws):
        other.model.seed = 1000 + 100 * run.config.model.seed + draw
        for variable, redrawn in zip(_rotations(evaluated), _rotations(build_model(other)), strict=True):
            variable.assign(redrawn)
        yield evaluation.run()["accuracy"]


def _rotations(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.variables if variable.path.endswith("/rotations")]


def measure() -> dict[str, Any]:
    """Trains, evaluates, and returns the content of the last line."""
    run, draws = Run(make_config(_TRAINED.value, _SEED.value), _WORKDIR.value), duplication_flags.DRAWS.value
    try:
        loss = train(run)
        rounds = {EXACT: None, **{str(number): number for number in duplication_flags.ROUNDS}}
        found = {name: list(accuracies(run, number, draws)) for name, number in rounds.items()}
        return {"accuracy": found, "loss": loss, "steps": run.step}
    finally:
        run.close()


def main() -> None:
    """Measures and prints."""
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)

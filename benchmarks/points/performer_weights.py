"""Trains one model of `benchmarks.performer_weights`, in a process of its own.

    python -m benchmarks.points.performer_weights --variant=base --workdir=DIR/base
    python -m benchmarks.points.performer_weights --variant=smreg-256 --base=DIR/base --workdir=DIR/smreg

The run is one of the trainer in `--workdir`, so that a process that was stopped goes on from its newest checkpoint. The
last line is one JSON object: `bits_per_byte` of the validation text by the number of `steps`, 0 before the first one;
`train_seconds`, by the trainer's own clock, between the first and the last evaluation; and of the trained model
`layers`, see `benchmarks.measuring.query_key_norms`.
"""

import json
from typing import Any

import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict

from benchmarks.measuring import command_line, performer_flags, query_key_norms
from benchmarks.measuring.performer_variants import BASE, SCRATCH, VARIANTS
from trainer import exits
from trainer.config import default_config
from trainer.training import loop
from trainer.training.run import Run

flags.adopt_module_key_flags(performer_flags)  # For --help.
_VARIANT = flags.DEFINE_enum("variant", BASE, [BASE, *VARIANTS], "The model to train.")
_BASE = flags.DEFINE_string("base", "", "Folder of the run whose weights the others begin with.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_MEASURED_EXAMPLES = 16
_BEFORE = "before"  # The split of an evaluation before the first step, in the metrics of the run.


def make_config(variant: str, base: str) -> ConfigDict:
    """Makes the config of a run: sizes and steps of the flags, with a kind of attention.

    Args:
        variant: the trained model or one of `VARIANTS`.
        base: folder of the run of the trained model, for the variants that begin with its weights.
    """
    flagged = command_line.arguments(performer_flags.NAMES)
    config = default_config()
    model = config.model
    model.vocabulary_size, model.max_sequence_length = 257, flagged["length"]
    model.num_layers, model.hidden_dim, model.num_heads = flagged["layers"], flagged["width"], flagged["heads"]
    model.key_dim, model.intermediate_dim = flagged["width"] // flagged["heads"], 4 * flagged["width"]
    model.dropout = model.attention_dropout = 0.0
    model.positions, model.rotary, model.reversible = "none", True, False
    model.tie_embeddings, model.attention_layers = False, ("full",)
    config.optimizer.learning_rate, config.optimizer.schedule = flagged["learning_rate"], "constant"
    config.optimizer.warmup_steps = 20
    config.train.steps, config.train.eval_every = flagged["base_steps"], max(flagged["base_steps"] // 4, 1)
    config.train.batch_size, config.train.sequence_length = flagged["batch"], flagged["length"]
    config.train.jit_compile = True
    config.train.eval_examples, config.train.keep_checkpoints = flagged["validation_examples"], 1
    if variant == BASE:
        return config
    config.train.steps, config.train.eval_every = flagged["steps"], flagged["evaluate_every"]
    config.train.seed = 1  # Other examples than those of the first steps before.
    if variant != SCRATCH:
        config.init_from = base
    options = VARIANTS[variant]
    if options is not None:
        model.attention_layers, model.attention_options = ("performer",), ConfigDict({"performer": options})
    return config


def train(run: Run) -> None:
    """Evaluates, and trains to the end.

    Raises:
        RuntimeError: if the run ends before.
    """
    stop = exits.StopRequest()
    if not run.step:
        run.evaluate_once(_BEFORE, stop)
    code = loop.train(run, stop)
    if code != exits.DONE:
        raise RuntimeError(f"The run in {run.workdir.root} ended with code {code}.")


def measure() -> dict[str, Any]:
    """Trains, and returns the content of the last line."""
    run = Run(make_config(_VARIANT.value, _BASE.value), _WORKDIR.value)
    try:
        train(run)
        lines = [line for line in run.files.records() if line["split"] in (_BEFORE, "validation")]
        found: dict[str, Any] = {
            "steps": [line["step"] for line in lines],
            "bits_per_byte": [line["bits_per_byte"] for line in lines],
            "train_seconds": lines[-1]["wall_time"] - lines[0]["wall_time"],
        }
        if _VARIANT.value == BASE:
            examples = run.validation_examples()
            ids, *_ = examples.gather(tf.range(min(_MEASURED_EXAMPLES, len(examples)), dtype=tf.int64))
            found["layers"] = query_key_norms.measure(run.model, ids[:, :-1])  # The last id is only a target.
        return found
    finally:
        run.close()


def main() -> None:
    """Measures and prints."""
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)

"""Evaluates a run on its validation documents: `python -m trainer.evaluate --workdir=DIR`.

The config is the one kept in DIR; its fields can be overridden, as in `--config.model.num_hashes=8`, or
`--config.train.eval_examples=0` to evaluate on all examples where the run evaluated some. `--checkpoint` is `newest`,
`best` or the number of a step; with `--average_checkpoints=N` the weights are the mean of that checkpoint and of the
newest before it, N together.

    python -m trainer.evaluate --workdir=DIR --config.data.name=text --config.data.path=PATH

scores all of another file or folder instead, and reads no other text; see `trainer.data.datasets.load_scored`. The
output names the scored documents before the work begins. Its last line is one JSON object: `step`, `loss` (nats a
token), the metrics of the task, such as `bits_per_byte`, what it counts, such as `tokens`, `documents` (their number)
and `scored` (their description). Of a language model `tokens` is the number of targets, and `bytes` what they stand
for. A number is null where there was nothing to average.
"""

from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, logging
from ml_collections import ConfigDict

from trainer import config_checks, data_checks, exits, tasks
from trainer.commands import console, run_flags
from trainer.data import datasets
from trainer.distribution import strategy
from trainer.model import load_described
from trainer.storage import checkpoint_average, checkpoint_choice
from trainer.storage.workdir import Workdir
from trainer.training import compilation
from trainer.training.evaluation import Evaluation
from trainer.training.progress import shown


def evaluate(
    config: ConfigDict,
    workdir: Workdir,
    checkpoint: str = checkpoint_choice.NEWEST,
    overrides: Sequence[str] = (),
    average_checkpoints: int = 1,
) -> dict[str, float]:
    """Evaluates a checkpoint of a run.

    Args:
        config: Config of the run, perhaps with overrides.
        workdir: Folder of the run.
        checkpoint: `newest`, `best` or the number of a step.
        overrides: Names of the fields of the config that were set anew, instead of the run's, such as `data.path`: see
            `trainer.data.datasets.load_scored`. The run's own `train.eval_examples` limits only validation documents.
        average_checkpoints: Number of checkpoints whose mean the weights are, see `trainer.model.load_described`.

    Returns:
        `step`, and what `Evaluation.run` returns.

    Raises:
        ValueError: If the config, the data or the folder cannot be used.
    """
    _, description, evaluation = prepare(config, workdir, checkpoint, overrides, average_checkpoints)
    return {"step": description["step"], **evaluation.run()}


def prepare(
    config: ConfigDict, workdir: Workdir, checkpoint: str, overrides: Sequence[str], average_checkpoints: int = 1
) -> tuple[datasets.Scored, Mapping[str, Any], Evaluation]:
    """Does everything that can be refused; see `evaluate` for the arguments.

    Returns:
        The documents to score, the description of the checkpoint, and the evaluation to run.
    """
    config_checks.check_config(config)
    distribution = strategy.make_strategy(config.strategy, config.logical_devices, config.tpu_address)
    settings = config.train
    config_checks.check_batch(config, distribution.num_replicas_in_sync)
    for name, message in data_checks.unused_fields(config).items():
        if f"data.{name}" in overrides:
            raise ValueError(message)
    data_overrides = [name.removeprefix("data.") for name in overrides if name.startswith("data.")]
    scored = datasets.load_scored(config.data, data_overrides)
    task = tasks.from_config(config)
    task.check_documents(config, scored.documents)
    with distribution.scope():
        model, description = load_described(config, workdir, checkpoint, average_checkpoints)
    before = description.get("data", {}).get("validation")
    if not data_overrides and before not in (None, scored.documents.fingerprint):
        logging.warning("The validation documents are not those that the run in %s was evaluated on", workdir.root)
    if scored.is_validation or "train.eval_examples" in overrides:
        examples = task.validation_examples(config, scored.documents)
    else:
        examples = task.examples(config, scored.documents)
    compiled = compilation.is_wanted(settings.jit_compile, distribution)
    scored = dataclasses.replace(scored, notes=(*scored.notes, *examples.notes))
    evaluation = Evaluation(model, distribution, examples, settings.batch_size, compiled, task)
    return scored, description, evaluation


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        fields = run_flags.overridden_fields()
        scored, description, evaluation = prepare(
            _CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value, fields, _AVERAGE.value
        )
    except (ValueError, OSError) as error:
        return console.refuse(error)
    documents, step = scored.documents, description["step"]
    for note in scored.notes:
        print(note)
    print(f"Scoring {scored.name}: {documents.size} in {len(documents):,} document(s).", flush=True)
    numbers = {"step": step, **evaluation.run()}
    metrics = {
        name: numbers[name] for name in ("loss", *tasks.find(_CONFIG.value).metric_directions) if name in numbers
    }
    at = checkpoint_average.describe(description)
    print(f"{'validation ' if scored.is_validation else ''}{shown(metrics)} at {at}")
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    print(json.dumps({**known, "documents": len(documents), "scored": scored.name}))
    return exits.DONE


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT, _AVERAGE = console.or_refuse(run_flags.define_flags)
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

"""Evaluates a run on its validation documents: `python -m trainer.evaluate --workdir=DIR`.

The config is the one kept in DIR; its fields can be overridden, as in `--config.model.num_hashes=8`. The checkpoint is
the newest, or `--checkpoint=best`, or that of a step. The last line of the output is one JSON object.
"""

from trainer import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

import json

from absl import app
from ml_collections import ConfigDict

from trainer import check, checkpoint_choice, console, exits, input, kept_run, segments, strategy, tokens
from trainer.evaluation import Evaluation
from trainer.model import load_model
from trainer.workdir import Workdir


def evaluate(config: ConfigDict, workdir: Workdir, checkpoint: str = checkpoint_choice.NEWEST) -> dict[str, float]:
    """Evaluates a checkpoint of a run.

    Args:
        config: Config of the run, perhaps with overrides.
        workdir: Folder of the run.
        checkpoint: `newest`, `best` or the number of a step.

    Returns:
        `step`, `loss` (nats a token), `bits_per_byte`, `tokens` and `bytes`.

    Raises:
        ValueError: If the config, the data or the folder cannot be used.
    """
    check.check_config(config)
    distribution = strategy.make_strategy(config.strategy, config.logical_devices, config.tpu_address)
    settings = config.train
    check.check_batch(config, distribution.num_replicas_in_sync)
    documents = input.load_corpus(config.data).validation
    with distribution.scope():
        model, step = load_model(config, workdir, checkpoint)
    scheme = tokens.of_config(config.data)
    windows = input.cut_windows(config, scheme, documents)
    separate = segments.are_wanted(config.data)
    evaluation = Evaluation(model, distribution, windows, settings.batch_size, settings.jit_compile, scheme, separate)
    return {"step": step, **evaluation.run()}


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        numbers = evaluate(_CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value)
    except (ValueError, OSError) as error:
        return console.refuse(error)
    print(f"validation loss {numbers['loss']:.4f}, {numbers['bits_per_byte']:.4f} bits/byte at step {numbers['step']}")
    print(json.dumps(numbers))
    return exits.DONE


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT = console.or_refuse(kept_run.define_flags)
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

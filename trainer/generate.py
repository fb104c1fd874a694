"""Lets a run go on with a text, which appears as it is made.

python -m trainer.generate --workdir=DIR --prompt=TEXT
"""

from trainer import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

from absl import app, flags, logging

from reformer_tf.generation import decoder
from trainer import check, console, exits, kept_run, sample, tokens
from trainer.model import load_model
from trainer.workdir import Workdir

_PROMPT = flags.DEFINE_string("prompt", "", "Text to go on with, as the beginning of a document.")
_TOKENS = flags.DEFINE_integer("tokens", 200, "Number of tokens to generate.", lower_bound=1)
_TEMPERATURE = flags.DEFINE_float("temperature", 0.8, "Above 0; the lower, the more likely the text.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same text.")


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        if _TEMPERATURE.value <= 0:
            raise ValueError(f"`temperature` must be above 0. Received: {_TEMPERATURE.value}")
        check.check_config(_CONFIG.value)
        model, _ = load_model(_CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value)
        if not decoder.has_caches(model):
            logging.warning("A layer keeps no cache: each new token takes a pass over the whole text so far")
        scheme = tokens.of_config(_CONFIG.value.data)
        new = sample.stream_text(model, _PROMPT.value, _TOKENS.value, _TEMPERATURE.value, _SEED.value, scheme)
    except (ValueError, OSError) as error:
        return console.refuse(error)
    print(_PROMPT.value, end="", flush=True)
    for piece in new:
        print(piece, end="", flush=True)
    print()
    return exits.DONE


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT = console.or_refuse(kept_run.define_flags)
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

r"""Continues a text with the model of a run, and prints each token as it is generated; or translates it.

    python -m trainer.generate --workdir=DIR --prompt=TEXT
    python -m trainer.generate --workdir=DIR --prompt_file=- --sampler=top_p --p=0.9 --samples=3 < FILE

Of a run on ids, the prompt and what follows are numbers: `--prompt="3 1 4"`. Of a run of `sequence_to_sequence`, the
prompt is a source, and its translation alone is written, by the sampler of `config.translation`.

The output is the prompt and the continuation. A file or pipe gets exactly the bytes of both; with several samples also
a heading line before each and a line end after it. A terminal gets a line end after each text, and escapes such as
`\x1b` for control characters and bytes that are not UTF-8.
"""

from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import app, flags, logging

from reformer_tf import models
from reformer_tf.generation import decoder, samplers
from trainer import config_checks, exits, tasks
from trainer.commands import console, prompts, run_flags, sampling, stop_strings, text_output, translations
from trainer.data import ids_as_text, tokenizers
from trainer.data.corpora import SOURCES
from trainer.model import load_model
from trainer.storage.workdir import Workdir
from trainer.tasks import text_sample

_PROMPT = flags.DEFINE_string("prompt", None, "Text to go on with, as the beginning of a document; by default empty.")
_PROMPT_FILE = flags.DEFINE_string(
    "prompt_file",
    None,
    "File of the text to go on with, or - for standard input: its bytes as they are, of any length. Of what is longer "
    "than the model the last part is read.",
)
_ECHO = flags.DEFINE_bool("echo", None, "Writes the prompt before what follows it; always unless it is translated.")
_TOKENS = flags.DEFINE_integer(
    "tokens",
    None,
    f"Number of tokens to generate; by default {prompts.DEFAULT_TOKENS}, or what the model leaves beside the prompt.",
)
_SAMPLER = flags.DEFINE_string(
    "sampler",
    None,
    f"How tokens are chosen: {', '.join(samplers.SAMPLERS)}; by default random, or for a translation the sampler of "
    "config.translation.",
)
_SETTINGS = (
    flags.DEFINE_float(
        "temperature", None, f"Above 0; the lower, the more likely the text; by default {sampling.TEMPERATURE}."
    ),
    flags.DEFINE_integer("k", None, "top_k: draws from so many of the likeliest tokens."),
    flags.DEFINE_float("p", None, "top_p: draws from the likeliest tokens that together have this probability."),
    flags.DEFINE_float("repetition_penalty", None, "At least 1, which is none: makes tokens that were there unlikely."),
    flags.DEFINE_integer("num_beams", None, "beam: number of continuations that are kept."),
    flags.DEFINE_float("length_penalty", None, "beam: above 0, longer continuations are preferred."),
)
_SAMPLES = flags.DEFINE_integer("samples", 1, "Number of texts, one after another, with the seeds from --seed on.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same text.")
_STOP = flags.DEFINE_multi_string(
    "stop", [], "Ends a text where this string would come, which is not written; may be given several times."
)
_STOP_AT_BOUNDARY = flags.DEFINE_bool(
    "stop_at_boundary", False, "Ends a text with its document: where the model puts the boundary of the next one."
)

_Fitted = tuple[prompts.Fitted, Callable[[Sequence[int]], bytes], list[int]]
"""A prompt that fits the model, a function from ids to what people read, and the ids that end a text."""

_SEEDS = range(-(2**31), 2**31)


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        prepared = _prepare()
    except (ValueError, OSError) as error:
        return console.refuse(error)
    try:
        _write(*prepared)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    except OSError as error:
        print(f"Stopped: the text could not be written ({error.strerror}).", file=sys.stderr, flush=True)
        return exits.NOT_SAVED
    return exits.DONE


def _prepare() -> tuple[bytes, Callable[[int], Iterator[bytes]]]:
    """Does everything that can be refused.

    Returns:
        What is written before each text, and a function of the seed that generates a text in fragments.
    """
    config_checks.check_config(_CONFIG.value)
    settings = {flag.name: flag.value for flag in _SETTINGS if flag.present}
    generators = {models.ReformerCausalLM: _prepare_continuation, models.ReformerSeq2Seq: _prepare_translation}
    prepare = generators.get(tasks.TASKS[_CONFIG.value.task].model_class)
    if prepare is None:
        raise ValueError(
            "`workdir` must be the run of a language model, to continue a text, or of sequence_to_sequence, to "
            f"translate it. Received: {_CONFIG.value.task}"
        )
    prompt = prompts.read(_PROMPT.value, _PROMPT_FILE.value)
    before, generate = prepare(prompt, settings)
    stops = [os.fsencode(stop) for stop in _STOP.value]
    return before, lambda seed: stop_strings.until(generate(seed), stops)


def _prepare_translation(prompt: bytes, settings: dict[str, Any]) -> tuple[bytes, Callable[[int], Iterator[bytes]]]:
    name = _SAMPLER.value or _CONFIG.value.translation.sampler
    sampler = translations.make_sampler(_CONFIG.value, name, settings)
    _check_flags(name, sampling.draws(sampler))
    for flag, why in ((_ECHO, "of which only the translation is written"), (_STOP_AT_BOUNDARY, "which ends by itself")):
        if flag.value:
            raise ValueError(f"`{flag.name}` must not be True for a translation, {why}. Received: True")
    source = translations.read_source(_CONFIG.value, prompt, _TOKENS.value)
    model, _ = load_model(_CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value, _AVERAGE.value)
    return b"", lambda seed: translations.translate(model, source, sampler, seed)


def _prepare_continuation(prompt: bytes, settings: dict[str, Any]) -> tuple[bytes, Callable[[int], Iterator[bytes]]]:
    name = _SAMPLER.value or "random"
    sampler = sampling.make_sampler(name, settings)
    _check_flags(name, sampling.draws(sampler))
    has_text = SOURCES[_CONFIG.value.data.name].has_text
    fitted, to_bytes, ends = _fit_text(prompt) if has_text else _fit_ids(prompt)
    model, _ = load_model(_CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value, _AVERAGE.value)
    if not decoder.has_caches(model):
        logging.warning("A layer keeps no cache: each new token takes a pass over the whole text so far")
    if fitted.is_cut:
        logging.warning(
            "The prompt is longer than what the model can read beside %s new token(s): only its last %s token(s) count",
            f"{fitted.tokens:,}",
            f"{len(fitted.ids):,}",
        )

    def continue_prompt(seed: int) -> Iterator[bytes]:
        return text_sample.stream_bytes(model, fitted.ids, fitted.tokens, sampler, seed, to_bytes, ends)

    return b"" if _ECHO.value is False else prompt, continue_prompt


def _fit_text(prompt: bytes) -> _Fitted:
    tokenizer = tokenizers.from_config(_CONFIG.value.data)
    fitted = prompts.fit(prompt, _TOKENS.value, _CONFIG.value.model.max_sequence_length, tokenizer)
    return fitted, tokenizer.to_bytes, [tokenizer.boundary] if _STOP_AT_BOUNDARY.value else []


def _fit_ids(prompt: bytes) -> _Fitted:
    """Fits the prompt of a run on ids: numbers, which are written as numbers again."""
    if _STOP_AT_BOUNDARY.value:
        raise ValueError(
            "`stop_at_boundary` must be False where the run has ids and no text, which have no boundary. Received: True"
        )
    sizes = _CONFIG.value.model
    ids = ids_as_text.to_ids(os.fsdecode(prompt), "`prompt`", sizes.vocabulary_size)
    if not ids:
        raise ValueError("`prompt` must have at least one id where the run has ids and no text. Received: none")
    return prompts.fit_ids(ids, _TOKENS.value, sizes.max_sequence_length), ids_as_text.to_bytes, []


def _check_flags(name: str, draws: bool) -> None:
    if _SAMPLES.value < 1:
        raise ValueError(f"`samples` must be at least 1. Received: {_SAMPLES.value}")
    if _SAMPLES.value > 1 and not draws:
        raise ValueError(
            f"`samples` must be 1 with the sampler {name!r}, which always gives the same text. "
            f"Received: {_SAMPLES.value}"
        )
    if _SEED.value not in _SEEDS or _SEED.value + _SAMPLES.value - 1 not in _SEEDS:
        raise ValueError(
            f"`seed`, and with several samples the seeds after it, must be from -2**31 to 2**31 - 1. "
            f"Received: {_SEED.value} for {_SAMPLES.value} sample(s)"
        )
    if "" in _STOP.value:
        raise ValueError("`stop` must not be empty. Received: ''")


def _write(before: bytes, generate: Callable[[int], Iterator[bytes]]) -> None:
    """Writes the texts, each while it is generated."""
    written, count = text_output.TextOutput(), _SAMPLES.value
    for number in range(count):
        seed = _SEED.value + number
        if count > 1:  # The heading that `head` gives to each of several files.
            written.write(f"==> sample {number + 1} of {count}, seed {seed} <==\n".encode())
        written.write(before)
        for fragment in generate(seed):
            written.write(fragment)
        written.end(line_end=count > 1)


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT, _AVERAGE = console.or_refuse(run_flags.define_flags)
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

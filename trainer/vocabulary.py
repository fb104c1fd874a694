"""Trains a vocabulary of SentencePiece: `python -m trainer.vocabulary --input=PATH --size=8000 --output=PREFIX`.

PATH is a file or a folder, or several with commas between. Files that end in .jsonl, .csv or .tsv, with `--source_key`
and `--target_key`, and in .po or .mo are read as pairs of texts, of which both are taken; all others as text. The model
is `PREFIX.model`, for `--config.data.tokens=sentencepiece --config.data.sentencepiece_model=PREFIX.model`, and always
the same for the same input and flags. `trainer.data.vocabularies` says what becomes of text. The package sentencepiece
must be installed.
"""

from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

import pathlib

from absl import app, flags

from reformer_tf import local_paths
from trainer import atomic, exits
from trainer.commands import console
from trainer.data import vocabularies

_INPUT = flags.DEFINE_list("input", None, "Files and folders of text or pairs of texts, with commas.", required=True)
_SIZE = flags.DEFINE_integer("size", None, "Number of ids.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The model is written to this path and .model.", required=True)
_PATTERN = flags.DEFINE_string("pattern", "*", "Which file names of folders to take.")
_SOURCE_KEY = flags.DEFINE_string("source_key", "source", "Key or column of the sources of pairs.")
_TARGET_KEY = flags.DEFINE_string("target_key", "target", "Key or column of the targets of pairs.")
_MODEL_TYPE = flags.DEFINE_enum("model_type", "unigram", vocabularies.MODEL_TYPES, "Kind of the model.")
_COVERAGE = flags.DEFINE_float("coverage", 0.9995, "Fraction of characters whose kinds get pieces; others are bytes.")
_SENTENCES = flags.DEFINE_integer("sentences", 0, "Number of lines to train on, drawn at random; 0: all.")
_SEED = flags.DEFINE_integer("seed", 0, "Decides which lines are drawn.")


def _new_file(prefix: str) -> pathlib.Path:
    """The file of the model, which must not be there yet: runs may have it as their tokenizer."""
    file = local_paths.checked("`output`", f"{prefix}.model")
    if not file.parent.is_dir():
        raise ValueError(f"`output` must begin with a folder that exists. Received: {prefix!r}")
    if file.exists():
        raise ValueError(f"`output` must name a new file. Received: {prefix!r}, and there is {file}")
    return file


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        file = _new_file(_OUTPUT.value)
        found = vocabularies.read(_INPUT.value, _PATTERN.value, _SOURCE_KEY.value, _TARGET_KEY.value)
        lines = vocabularies.choose(found.lines, _SENTENCES.value, _SEED.value)
        model = vocabularies.train(lines, _SIZE.value, _MODEL_TYPE.value, _COVERAGE.value)
        with atomic.writing(file) as stream:
            stream.write(model)
    except (ValueError, OSError) as error:
        return console.refuse(error)
    selection = f"{len(lines):,} of " if len(lines) < len(found.lines) else ""
    print(
        f"{file}: {_SIZE.value:,} ids, from {selection}{found.note}. To use it: "
        f"--config.data.tokens=sentencepiece --config.data.sentencepiece_model={file}"
    )
    return exits.DONE


if __name__ == "__main__":
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))

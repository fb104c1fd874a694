"""Shows people some sources, what a model makes of them, and the references."""

import keras

from trainer.data.pair_examples import PairExamples
from trainer.tasks.translator import Translator, as_text

_EXAMPLES = 10


def describe(model: keras.Model, examples: PairExamples, translator: Translator) -> str:
    r"""Writes three lines for each of ten examples: the source, its translation, and the reference.

    Args:
        model: A `ReformerSeq2Seq`.
        examples: The examples to choose from, at equal distances.
        translator: Translates them.

    Returns:
        The lines, with an empty one after each example. Line ends in a text are written as `\n`.
    """
    some = examples.spread(_EXAMPLES)
    sources, references = ([as_text(text) for text in side] for side in (some.sources(), some.references()))
    rows = zip(sources, translator.translate_examples(model, some, len(some)), references, strict=True)
    names = ("source", "translation", "reference")
    return "\n".join(
        "".join(f"{name:12} {_shown(text)}\n" for name, text in zip(names, row, strict=True)) for row in rows
    )


def _shown(text: str) -> str:
    return text.replace("\n", r"\n")

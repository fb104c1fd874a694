"""Flags for sizes with the same meaning in all benchmarks; each benchmark defines those that it uses."""

import dataclasses

from absl import flags

from benchmarks.measuring.sizes import Sizes

_DEFAULTS = {
    "length": (16384, "Tokens of a sequence."),
    "layers": (6, "Layers."),
    "width": (256, "Width of the model."),
    "heads": (4, "Attention heads; key_dim is width / heads."),
    "num_hashes": (2, "Hash rounds."),
    "chunk_length": (64, "Length of a chunk: the reach of a window."),
    "batch": (1, "Sequences."),
}

SIZES = tuple(field.name for field in dataclasses.fields(Sizes))
"""The flags that make up `Sizes`."""

# So that --help lists a flag with the module that asks for it.
flags.disclaim_key_flags()


def define(name: str, default: int | None = None) -> flags.FlagHolder[int]:
    """Defines a flag.

    Args:
        name: of the flag.
        default: replaces the usual default.
    """
    usual, meaning = _DEFAULTS[name]
    return flags.DEFINE_integer(name, usual if default is None else default, meaning, lower_bound=1)


def check_heads() -> None:
    """Checks that the heads divide the width.

    Raises:
        ValueError: if they do not.
    """
    width, heads = flags.FLAGS.width, flags.FLAGS.heads
    if width % heads:
        raise ValueError(f"--width must be a multiple of --heads. Received: {width}, {heads}")


def sizes(**values: int) -> Sizes:
    """The sizes by the flags; those of `SIZES` that are not defined as flags must be passed."""
    return Sizes(**{name: values[name] if name in values else getattr(flags.FLAGS, name) for name in SIZES})

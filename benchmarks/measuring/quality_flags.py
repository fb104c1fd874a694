"""Flags of `benchmarks.quality` and of the processes that it starts: sizes, steps and the learning rate."""

from typing import Any

from absl import flags

from benchmarks.measuring import size_flags

# So that --help lists the flags with the module that imports this one.
flags.disclaim_key_flags()

LENGTH = size_flags.define("length", 4096)
LAYERS = size_flags.define("layers", 2)
_OTHER_SIZES = [size_flags.define(name) for name in ("width", "heads", "num_hashes", "chunk_length")]
STEPS = flags.DEFINE_integer("steps", 300, "Steps.", lower_bound=1)
VALIDATION_WINDOWS = flags.DEFINE_integer("validation_windows", 16, "Windows to validate on.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.", lower_bound=0.0)

_ALL = [LENGTH, LAYERS, *_OTHER_SIZES, STEPS, VALIDATION_WINDOWS, LEARNING_RATE]


def arguments() -> dict[str, Any]:
    """The values of all flags of this module."""
    return {flag.name: flag.value for flag in _ALL}

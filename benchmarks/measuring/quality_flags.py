"""Flags of `benchmarks.quality` and of the processes that it starts: sizes, steps and the learning rate."""

from absl import flags

from benchmarks.measuring import command_line

LENGTH = command_line.define("length", 4096)
LAYERS = command_line.define("layers", 2)
_OTHER_SIZES = [command_line.define(name) for name in ("width", "heads", "num_hashes", "chunk_length")]
STEPS = flags.DEFINE_integer("steps", 300, "Steps.", lower_bound=1)
VALIDATION_WINDOWS = flags.DEFINE_integer("validation_windows", 16, "Windows to validate on.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.", lower_bound=0.0)

NAMES = [flag.name for flag in (LENGTH, LAYERS, *_OTHER_SIZES, STEPS, VALIDATION_WINDOWS, LEARNING_RATE)]

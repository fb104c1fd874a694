"""Flags of `benchmarks.duplication` and of the processes that it starts, and the rows and columns of its table."""

from absl import flags

from benchmarks.measuring import command_line

EXACT = "exact"
TRAINED = (EXACT, "lsh-4", "lsh-2", "lsh-1")
ROUNDS = (8, 4, 2, 1)

LENGTH = command_line.define("length", 256)
STEPS = flags.DEFINE_integer("steps", 3000, "Steps of each run.", lower_bound=1)
DRAWS = flags.DEFINE_integer("draws", 8, "Draws of the rotations, for each evaluation with hashing.", lower_bound=1)

NAMES = [flag.name for flag in (LENGTH, STEPS, DRAWS)]

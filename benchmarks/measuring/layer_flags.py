"""Flags of `benchmarks.attention_kinds` and of the processes that measure its layers: their sizes."""

from absl import flags

from benchmarks.measuring import command_line

HEADS = command_line.define("heads", 2)
KEY_DIM = flags.DEFINE_integer("key_dim", 64, "Size of a head; the width of the model is heads times key_dim.", 1)
NUM_HASHES = command_line.define("num_hashes", 4)
CHUNK_LENGTH = command_line.define("chunk_length")

NAMES = [flag.name for flag in (HEADS, KEY_DIM, NUM_HASHES, CHUNK_LENGTH)]

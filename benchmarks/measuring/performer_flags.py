"""Flags of `benchmarks.performer_weights` and of the processes that it starts."""

from absl import flags

from benchmarks.measuring import command_line

LENGTH = command_line.define("length", 512)
LAYERS = command_line.define("layers", 3)
WIDTH = command_line.define("width", 128)
HEADS = command_line.define("heads", 2)
BATCH = command_line.define("batch", 4)
BASE_STEPS = flags.DEFINE_integer("base_steps", 1200, "Steps of the model with exact attention.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 200, "Steps of each model that begins with its weights.", lower_bound=1)
EVALUATE_EVERY = flags.DEFINE_integer("evaluate_every", 50, "Steps of these between evaluations.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 2e-3, "Of Adam, in all runs.", lower_bound=0.0)
VALIDATION_EXAMPLES = flags.DEFINE_integer("validation_examples", 80, "Examples of an evaluation.", lower_bound=1)

NAMES = [
    flag.name
    for flag in (
        LENGTH,
        LAYERS,
        WIDTH,
        HEADS,
        BATCH,
        BASE_STEPS,
        STEPS,
        EVALUATE_EVERY,
        LEARNING_RATE,
        VALIDATION_EXAMPLES,
    )
]

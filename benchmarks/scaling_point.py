"""Time and memory of one training step of another implementation, in a process of its own.

    python -m benchmarks.scaling_point --peer=huggingface --length=4096 --layers=6

Like `benchmarks.train_step`, with the same flags where they mean the same; the last line is one JSON object.
"""

import json

from absl import app, flags

from benchmarks.measuring import size_flags, subjects
from benchmarks.peers.builders import builder

_PEER = flags.DEFINE_enum("peer", None, sorted(subjects.PEERS), "Implementation.", required=True)
for _size in size_flags.SIZES:
    size_flags.define(_size)
_BATCH = size_flags.define("batch")
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", [*subjects.PRECISIONS, subjects.FORWARD_ONLY], "bfloat16: automatic casts."
)
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed, after one that is not.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    from benchmarks.peers import torch_step

    sizes = size_flags.sizes()
    print(json.dumps(torch_step.measure(builder(_PEER.value), sizes, _BATCH.value, _PRECISION.value, _REPEAT.value)))


if __name__ == "__main__":
    app.run(main)

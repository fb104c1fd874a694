"""Time and memory of one training step of another implementation, in a process of its own.

    python -m benchmarks.points.peer_step --peer=huggingface --length=4096 --layers=6

Like `benchmarks.train_step`, with the same flags where they mean the same; the last line is one JSON object.
"""

import json

from absl import flags

from benchmarks.measuring import command_line, subjects

_PEER = flags.DEFINE_enum("peer", None, sorted(subjects.PEERS), "Implementation.", required=True)
for _size in command_line.SIZES:
    command_line.define(_size)
_BATCH = command_line.define("batch")
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", [*subjects.PRECISIONS, subjects.FORWARD_ONLY], "bfloat16: automatic casts."
)
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed, after one that is not.", lower_bound=1)


def main() -> None:
    """Measures and prints."""
    from benchmarks.peers import torch_step

    measured = torch_step.measure(_PEER.value, command_line.sizes(), _BATCH.value, _PRECISION.value, _REPEAT.value)
    print(json.dumps(measured))


if __name__ == "__main__":
    command_line.run(main)

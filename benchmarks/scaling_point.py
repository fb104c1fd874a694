"""Time and memory of one training step of another implementation, in a process of its own.

    python -m benchmarks.scaling_point --peer=huggingface --length=4096 --layers=6

Like `benchmarks.train_step`, with the same flags where they mean the same; the last line is one JSON object.
"""

import json

from absl import app, flags

from benchmarks import subjects
from benchmarks.peers.builders import builder
from benchmarks.peers.sizes import Sizes

_PEER = flags.DEFINE_enum("peer", None, sorted(subjects.PEERS), "Implementation.", required=True)
_LENGTH = flags.DEFINE_integer("length", 16384, "Tokens of a sequence.", lower_bound=1)
_LAYERS = flags.DEFINE_integer("layers", 6, "Layers.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 256, "Width of the model.", lower_bound=1)
_HEADS = flags.DEFINE_integer("heads", 4, "Attention heads; key_dim is width / heads.", lower_bound=1)
_NUM_HASHES = flags.DEFINE_integer("num_hashes", 2, "Hash rounds.", lower_bound=1)
_CHUNK_LENGTH = flags.DEFINE_integer("chunk_length", 64, "Length of a chunk.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 1, "Sequences.", lower_bound=1)
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "bfloat16: automatic casts.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed, after one that is not.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    from benchmarks.peers import torch_step

    sizes = Sizes(
        length=_LENGTH.value,
        layers=_LAYERS.value,
        width=_WIDTH.value,
        heads=_HEADS.value,
        num_hashes=_NUM_HASHES.value,
        chunk_length=_CHUNK_LENGTH.value,
    )
    print(json.dumps(torch_step.measure(builder(_PEER.value), sizes, _BATCH.value, _PRECISION.value, _REPEAT.value)))


if __name__ == "__main__":
    app.run(main)

"""Classes of `benchmarks.stages.costs`: sizes of a training step, costs, and stages.

Letters beside those of the package: T tokens of the batch, A = H * D the channels of all heads, F the inner width of
the feed-forward layer, V the vocabulary, P the projections of a hash round, W = 2 C the keys of a block's window.
"""

import math
from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of a step, and the bytes of its numbers.

    Attributes:
        batch: B.
        length: L.
        width: M.
        heads: H.
        key_dim: D.
        hash_rounds: R without a local round.
        local_rounds: 1 if there is a round sorted by position, else 0.
        chunk_length: C.
        intermediate_dim: F.
        vocabulary_size: V.
        projections: P.
        itemsize: bytes of a number in the compute dtype.
    """

    batch: int
    length: int
    width: int
    heads: int
    key_dim: int
    hash_rounds: int
    local_rounds: int
    chunk_length: int
    intermediate_dim: int
    vocabulary_size: int
    projections: int
    itemsize: int

    @property
    def tokens(self) -> int:
        """T."""
        return self.batch * self.length

    @property
    def channels(self) -> int:
        """A."""
        return self.heads * self.key_dim

    @property
    def rounds(self) -> int:
        """All rounds of a layer."""
        return self.hash_rounds + self.local_rounds

    @property
    def logits(self) -> int:
        """The logits of all blocks of a layer, `R * H * T * W`; the last block is padded."""
        blocks = math.ceil(self.length / self.chunk_length)
        return self.rounds * self.batch * self.heads * blocks * self.chunk_length * 2 * self.chunk_length


class Cost(NamedTuple):
    """The operations and bytes of a stage.

    Attributes:
        flops: operations.
        bytes: to and from memory.
        exponentials: evaluations of exp; each is one of `flops` too.
        gelus: evaluations of gelu, or of its gradient; each is one of `flops` too.
    """

    flops: int
    bytes: int
    exponentials: int = 0
    gelus: int = 0

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(*(mine + others for mine, others in zip(self, other, strict=True)))

    def times(self, factor: int) -> "Cost":
        """The cost of `factor` repetitions."""
        return Cost(*(factor * quantity for quantity in self))


class Stage(NamedTuple):
    """A stage of a step.

    Attributes:
        name: its name in tables.
        forward: its cost in the forward pass.
        backward: its cost in the backward pass, recomputation included.
        in_layer: whether every layer has it; otherwise it is there once a step.
        blocks: whether its matrix products are those of small blocks.
        part_of: the larger stage whose cost includes this one, if any.
    """

    name: str
    forward: Cost
    backward: Cost
    in_layer: bool = True
    blocks: bool = False
    part_of: str | None = None

"""The sizes that all models of a comparison have in common."""

import dataclasses
import math

VOCABULARY = 256


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of one causal language model over byte values.

    Attributes:
        length: L, tokens of a sequence.
        layers: number of layers.
        width: M; the feed-forward layers are four times as wide inside.
        heads: H.
        num_hashes: R, hash rounds.
        chunk_length: C.
    """

    length: int
    layers: int
    width: int
    heads: int
    num_hashes: int
    chunk_length: int

    @property
    def key_dim(self) -> int:
        """D, the size of a head."""
        return self.width // self.heads

    @property
    def axial_shape(self) -> tuple[int, int]:
        """Two factors of `length`, as nearly equal as possible."""
        last = next(n for n in range(math.isqrt(self.length), 0, -1) if self.length % n == 0)
        return last, self.length // last

    @property
    def axial_dims(self) -> tuple[int, int]:
        """Widths of the two axes."""
        return self.width // 2, self.width - self.width // 2

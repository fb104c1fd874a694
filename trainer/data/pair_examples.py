"""Cuts pairs of texts into examples: a row of the source's ids, and one of the target's.

Shape letters: N examples, S length of sources, T length of targets, B rows of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from reformer_tf.tokenizers import Tokenizer
from trainer.data import id_slices, numbered_documents
from trainer.data.pair_documents import PairDocuments


class PairExamples:
    """Examples of a model that makes targets of sources, such as a translator.

    No boundary stands before a text. After a target comes the end of the tokenizer, so that a model learns to stop.
    Pairs of which a text is too long are left out as a whole: a source that was cut would not say all that the target
    does, and a target that was cut would teach to stop in the middle. `notes` says how many they are.

    Args:
        documents: The pairs.
        tokenizer: Turns them into ids.
        source_length: S, the largest number of ids of a source.
        target_length: T, that of a target with its end.
        length_buckets: Shorter lengths that a batch can be cut to, ascending. Sources and targets are cut to the same
            one, so that there are as many shapes of a batch as lengths, for each of which a step is traced or compiled;
            a length that is above the largest of a side stands for that.

    Attributes:
        documents: The pairs, those that are left out too.
        sizes: `[N]` int64, number of ids of each example without padding, source and target together.
        tokens: Number of ids in all examples.
        target_tokens: Number of ids in all targets, with their ends.
        notes: What is left out, for people.
        overlap: 0, as all ids count.

    Raises:
        ValueError: If an argument is out of range, a source has no ids, or no pair is short enough.

    Example:
        >>> from reformer_tf.tokenizers import ByteTokenizer
        >>> from trainer.data.pair_documents import PairDocuments
        >>> documents = PairDocuments.from_pairs([(b"two", b"zwei"), (b"eleven", b"elf")])
        >>> examples = PairExamples(documents, ByteTokenizer(), source_length=6, target_length=5)
        >>> source, source_mask, target, target_mask = examples.gather(tf.constant([1, 0], tf.int64))
        >>> target.numpy().tolist()
        [[101, 108, 102, 256, 0], [122, 119, 101, 105, 256]]
        >>> examples.texts(0)
        (b'two', b'zwei')
    """

    overlap = 0

    def __init__(
        self,
        documents: PairDocuments,
        tokenizer: Tokenizer,
        source_length: int,
        target_length: int,
        length_buckets: Sequence[int] = (),
    ):
        lengths = [
            id_slices.checked_length(source_length, "source_length"),
            id_slices.checked_length(target_length, "target_length"),
        ]
        buckets = id_slices.checked_buckets(length_buckets, max(lengths))
        if not len(documents):
            raise ValueError("documents must hold at least one pair. Received: none")
        self.documents = documents
        sides = [_source_ids(documents, tokenizer), _target_ids(documents, tokenizer)]
        if not sides[0][2].all():
            raise ValueError(f"sources must have at least one id each. Received: none in pair {sides[0][2].argmin()}")
        is_short = [sizes <= length for (_, _, sizes), length in zip(sides, lengths, strict=True)]
        self._indices = np.flatnonzero(is_short[0] & is_short[1])
        self.notes = _notes(is_short, lengths)
        if not len(self._indices):
            least = [int(sizes.min()) for _, _, sizes in sides]
            raise ValueError(
                f"documents must hold a pair of at most {source_length} and {target_length} ids, the source's and the "
                f"target's with its end. Received: {len(documents)} pair(s); the shortest source has {least[0]} and "
                f"the shortest target {least[1]}"
            )
        self._sides = [
            id_slices.IdSlices(
                ids,
                starts[self._indices],
                sizes[self._indices],
                [min(bucket, length) for bucket in buckets],
            )
            for (ids, starts, sizes), length in zip(sides, lengths, strict=True)
        ]

    @property
    def sizes(self) -> np.ndarray:
        return np.sum([side.sizes for side in self._sides], axis=0)

    @property
    def tokens(self) -> int:
        return int(self.sizes.sum())

    @property
    def target_tokens(self) -> int:
        return int(self._sides[1].sizes.sum())

    def __len__(self) -> int:
        return len(self._indices)

    def texts(self, index: int) -> tuple[bytes, bytes]:
        """The source and the target of an example, as they were read."""
        at = int(self._indices[index])
        return self.documents.sources[at], self.documents.targets[at]

    def sources(self) -> list[bytes]:
        """The sources of all examples in their sequence."""
        return [self.documents.sources[int(at)] for at in self._indices]

    def references(self) -> list[bytes]:
        """The targets of all examples in their sequence, to compare translations with."""
        return [self.documents.targets[int(at)] for at in self._indices]

    def spread(self, count: int) -> PairExamples:
        """Chooses examples at equal distances from the first on: always the same, from all parts of the documents.

        Args:
            count: Number of examples; 0 for all.
        """
        if not 0 < count < len(self):
            return self
        chosen, indices = copy.copy(self), id_slices.spread(len(self), count)
        chosen._sides = [side.take(indices) for side in self._sides]
        chosen._indices = self._indices[indices]
        return chosen

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, draws: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch with TensorFlow ops. In a `tf.data` pipeline the ids are not copied.

        Args:
            indices: `[B]` int64; a negative index gives a row that is all masked.
            among: `[G]` int64, all examples of the global batch that these rows are a part of; by default `indices`.
                They decide the lengths, so that all parts have the same.
            draws: `[B]` uint64, 64 random bits for each row of a training step; None in an evaluation, whose rows are
                always the same. For examples that are changed at random; these are not.

        Returns:
            Ids of the sources `[B, S]` int32, their mask `[B, S]` bool, ids of the targets `[B, T]` int32 and their
            mask `[B, T]` bool. With length buckets, S and T are of the smallest one that holds the longest row of both
            sides in the global batch, and are not static.
        """
        among = indices if among is None else among
        bucket = tf.reduce_max(tf.stack([side.bucket(among) for side in self._sides]))
        return tuple(tensor for side in self._sides for tensor in side.gather(indices, among, bucket))


_Ids = tuple[np.ndarray, np.ndarray, np.ndarray]  # All ids, and start and size of each document's.


def _source_ids(documents: PairDocuments, tokenizer: Tokenizer) -> _Ids:
    """The ids of each source after its boundary."""
    numbered = numbered_documents.number(documents.sources, tokenizer)
    return numbered.ids, numbered.offsets[:-1] + 1, np.diff(numbered.offsets) - 1


def _target_ids(documents: PairDocuments, tokenizer: Tokenizer) -> _Ids:
    """The ids of each target and the end, which takes the position of the boundary that follows it."""
    numbered = numbered_documents.number(documents.targets, tokenizer)
    ids = np.roll(numbered.ids, -1)
    ids[numbered.offsets[1:] - 1] = tokenizer.end
    return ids, numbered.offsets[:-1], np.diff(numbered.offsets)


def _notes(is_short: Sequence[np.ndarray], lengths: Sequence[int]) -> tuple[str, ...]:
    """Says how many pairs are left out."""
    left_out = int((~(is_short[0] & is_short[1])).sum())
    if not left_out:
        return ()
    sources, targets = (int((~side).sum()) for side in is_short)
    return (
        f"{left_out:,} of {len(is_short[0]):,} pairs are left out as too long: {sources:,} by a source of more than "
        f"{lengths[0]:,} ids, {targets:,} by a target of more than {lengths[1]:,} with its end.",
    )

"""Examples of which some tokens are hidden, for a masked language model.

Shape letters: B rows of a batch, L sequence length.
"""

from collections.abc import Iterable, Sequence

import tensorflow as tf

from trainer.data.examples import Examples
from trainer.data.masking import Masking
from trainer.data.numbered_documents import Documents
from trainer.data.shuffle import random_bits

IGNORED = -100
"""Target of a token that is not to be predicted."""
_EVALUATION = -1  # No seed of a run.


class MaskedExamples(Examples):
    """Examples without overlap, whose batches have the tokens to predict hidden.

    Of documents that say which ids are targets, only those are to be predicted.

    In training the hidden tokens are a function of the seed and of the number of the row in the whole run. In an
    evaluation they are one of where the example begins in the documents, so that it is always the same.

    Args:
        masking: Chooses and hides tokens.
        documents: See `Examples`, as for the other arguments.
        sequence_length: L, number of ids of a full example.
        layout: `"packed"` or `"padded"`.
        count: Number of full examples; 0 for all examples, short ones too.
        length_buckets: Shorter lengths that a batch of `padded` examples can be cut to.

    Raises:
        ValueError: As `Examples` does.

    Example:
        >>> from trainer.data.masking import Masking
        >>> examples = MaskedExamples(Masking(258, fraction=1.0, mask_fraction=1.0), [b"abcd"], sequence_length=8)
        >>> ids, mask, targets = examples.gather(tf.constant([0], tf.int64))
        >>> ids.numpy().tolist(), targets.numpy().tolist()
        ([[257, 257, 257, 257, 257, 0, 0, 0]], [[256, 97, 98, 99, 100, -100, -100, -100]])
    """

    def __init__(
        self,
        masking: Masking,
        documents: Documents | Iterable[bytes],
        sequence_length: int,
        layout: str = "packed",
        count: int = 0,
        length_buckets: Sequence[int] = (),
    ) -> None:
        super().__init__(documents, sequence_length, layout, count, length_buckets, overlap=0)
        self._masking = masking

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, draws: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch and hides tokens; see `Examples`.

        Returns:
            ids `[B, L]` int32, as the model sees them; mask `[B, L]` bool; and targets `[B, L]` int32, the ids of the
            documents where they are to be predicted, and `IGNORED` elsewhere.
        """
        ids, mask, *scored = super().gather(indices, among)
        if draws is None:
            draws = random_bits(self.starts_at(indices), _EVALUATION)
        hidden, chosen = self._masking.hide(ids, scored[0] if scored else mask, draws)
        return hidden, mask, tf.where(chosen, ids, IGNORED)

    def _count_targets(self) -> int:
        return int(self.sizes.sum())  # Any token may be one.


def restored(ids: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the ids of the documents from those that the model sees and the targets, `[B, L]` each."""
    return tf.where(tf.equal(targets, IGNORED), ids, targets)

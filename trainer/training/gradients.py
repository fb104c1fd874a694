"""Loss and gradient of the rows of one replica, at once or in parts one after another.

Shape letters: b rows of a replica, L sequence length.
"""

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.tokenizers import Tokenizer
from trainer.data import segments
from trainer.data.tokenizers import BYTES

_Sums = tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]


def count_targets(ids: tf.Tensor, mask: tf.Tensor, tokenizer: Tokenizer = BYTES) -> list[tf.Tensor]:
    """Counts the targets and their bytes.

    Args:
        ids: `[b, L + 1]` int32.
        mask: `[b, L + 1]` bool, True for real tokens.
        tokenizer: Tokenizer of the ids.

    Returns:
        Number of targets and number of bytes that they stand for, float32 scalars.
    """
    targets = tf.cast(mask[:, 1:], tf.float32)
    return [tf.reduce_sum(targets), tf.reduce_sum(targets * _look_up(tokenizer.byte_counts, ids[:, 1:]))]


def sum_losses(losses: tf.Tensor, ids: tf.Tensor, tokenizer: Tokenizer = BYTES) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums losses.

    Args:
        losses: `[b, L]` float32 nats, 0 where the target is masked.
        ids: `[b, L + 1]` int32.
        tokenizer: Tokenizer of the ids.

    Returns:
        Sum over all targets and sum over the targets that stand for bytes, float32 scalars.
    """
    is_byte = _look_up((tokenizer.byte_counts > 0).astype(losses.dtype.as_numpy_dtype), ids[:, 1:])
    return tf.reduce_sum(losses), tf.reduce_sum(losses * is_byte)


def _look_up(numbers: np.ndarray, ids: tf.Tensor) -> tf.Tensor:
    """Looks up a number for each id, any number for an unknown id: the loss of that decides about the step."""
    return tf.gather(numbers, tf.clip_by_value(ids, 0, len(numbers) - 1))


class LocalGradients:
    """Computes the gradient of a weighted sum of token losses.

    Args:
        model: Has `token_losses` and `trainable_variables`.
        parts: Number of equal groups of rows that are computed one after another, to save memory.
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.
    """

    def __init__(
        self, model: keras.Model, parts: int = 1, tokenizer: Tokenizer = BYTES, separate_documents: bool = False
    ):
        self._model = model
        self._tokenizer = tokenizer
        self._separate_documents = separate_documents
        self._variables = model.trainable_variables
        self._parts = parts

    def __call__(
        self, ids: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor, weight: tf.Tensor
    ) -> _Sums:
        """Computes loss and gradient of some rows of the global batch.

        Args:
            ids: `[b, L + 1]` int32.
            mask: `[b, L + 1]` bool, True for real tokens.
            seed: `[2]` int32, (base, step).
            first_row: Scalar int32, index of the first row in the global batch.
            weight: Scalar float32, weight of each token in the loss.

        Returns:
            The weighted loss, the unweighted sum of the losses of bytes, and the gradient of the weighted loss, a dense
            tensor for each trainable variable.
        """
        if self._parts == 1:
            return self._one(ids, mask, seed, first_row, weight)
        rows, length = ids.shape  # Static, because XLA needs static shapes.
        if rows is None:
            raise ValueError(f"`ids` must have a known number of rows to be computed in parts. Received: {ids.shape}")
        rows //= self._parts
        grouped = [tf.reshape(tensor, [self._parts, rows, length]) for tensor in (ids, mask)]

        def add_part(part: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            loss, byte_nats, found = self._one(
                grouped[0][part], grouped[1][part], seed, first_row + part * rows, weight
            )
            return (part + 1, *(total + more for total, more in zip(sums, [loss, byte_nats, *found], strict=True)))

        zeros = [tf.zeros([]), tf.zeros([]), *(tf.zeros(v.shape, v.dtype) for v in self._variables)]
        _, loss, byte_nats, *total = tf.while_loop(
            lambda part, *_: part < self._parts,
            add_part,
            [tf.constant(0), *zeros],
            maximum_iterations=self._parts,
            parallel_iterations=1,
        )
        return loss, byte_nats, total

    def _one(self, ids: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor, weight: tf.Tensor) -> _Sums:
        row_seed = tf.concat([seed, tf.reshape(first_row, [1])], axis=0)
        options = segments.call_options(ids, self._tokenizer, self._separate_documents)
        with tf.GradientTape() as tape:
            losses = self._model.token_losses(ids, mask=mask, training=True, seed=row_seed, **options)
            nats, byte_nats = sum_losses(losses, ids, self._tokenizer)
            loss = nats * weight
        found = tape.gradient(loss, [variable.value for variable in self._variables])
        unused = [v.path for v, gradient in zip(self._variables, found, strict=True) if gradient is None]
        if unused:
            raise ValueError(f"Every trainable variable must have a gradient. Received: none for {', '.join(unused)}")
        return loss, byte_nats, [tf.convert_to_tensor(gradient) for gradient in found]

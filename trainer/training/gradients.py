"""Loss and gradient of the rows of one replica, at once or in parts one after another.

Shape letters: b rows of a replica, L sequence length.
"""

import keras
import tensorflow as tf

from trainer.tasks import Batch, Sums, Task

_Result = tuple[tf.Tensor, Sums, list[tf.Tensor]]


class LocalGradients:
    """Computes the gradient of a weighted sum of losses.

    Args:
        model: A model of the task.
        task: Says what is summed.
        parts: Number of equal groups of rows that are computed one after another, to save memory.
    """

    def __init__(self, model: keras.Model, task: Task, parts: int = 1):
        self._model = model
        self._task = task
        self._variables = model.trainable_variables
        self._parts = parts

    def __call__(self, batch: Batch, seed: tf.Tensor, first_row: tf.Tensor, weight: tf.Tensor) -> _Result:
        """Computes loss and gradient of some rows of the global batch.

        Args:
            batch: A batch of the task, tensors `[b, ...]`.
            seed: `[2]` int32, (base, step).
            first_row: Scalar int32, index of the first row in the global batch.
            weight: Scalar float32, weight of each target in the loss.

        Returns:
            The weighted loss, the unweighted sums of the task, and the gradient of the weighted loss, a dense tensor
            for each trainable variable.
        """
        if self._parts == 1:
            return self._one(batch, seed, first_row, weight)
        rows = batch[0].shape[0]
        if any(not tensor.shape.is_fully_defined() for tensor in batch):  # XLA needs static shapes.
            raise ValueError(
                "`batch` must have known shapes to be computed in parts. "
                f"Received: {', '.join(str(tensor.shape) for tensor in batch)}"
            )
        rows //= self._parts
        grouped = [tf.reshape(tensor, [self._parts, rows, *tensor.shape[1:]]) for tensor in batch]
        names = self._task.summed

        def add_part(part: tf.Tensor, *totals: tf.Tensor) -> tuple[tf.Tensor, ...]:
            some = tuple(tensor[part] for tensor in grouped)
            loss, sums, found = self._one(some, seed, first_row + part * rows, weight)
            more = [loss, *(sums[name] for name in names), *found]
            return (part + 1, *(total + value for total, value in zip(totals, more, strict=True)))

        zeros = [*(tf.zeros([]) for _ in ("loss", *names)), *(tf.zeros(v.shape, v.dtype) for v in self._variables)]
        _, loss, *total = tf.while_loop(
            lambda part, *_: part < self._parts,
            add_part,
            [tf.constant(0), *zeros],
            maximum_iterations=self._parts,
            parallel_iterations=1,
        )
        return loss, dict(zip(names, total, strict=False)), total[len(names) :]

    def _one(self, batch: Batch, seed: tf.Tensor, first_row: tf.Tensor, weight: tf.Tensor) -> _Result:
        row_seed = tf.concat([seed, tf.reshape(first_row, [1])], axis=0)
        with tf.GradientTape() as tape:
            sums = self._task.losses(self._model, batch, training=True, seed=row_seed)
            loss = sums["loss"] * weight
        found = tape.gradient(loss, [variable.value for variable in self._variables])
        unused = [v.path for v, gradient in zip(self._variables, found, strict=True) if gradient is None]
        if unused:
            raise ValueError(f"Every trainable variable must have a gradient. Received: none for {', '.join(unused)}")
        return loss, sums, [tf.convert_to_tensor(gradient) for gradient in found]

"""Runs a model on rows of different lengths so that no row depends on its neighbours or on padding.

Shape letters: B batch, L length, M width of the backbone's vectors.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.models.headed_model import HeadedModel


class IndependentRows:
    """Runs a model on padded rows.

    If padding changes nothing, the backbone runs on all rows together; otherwise on one row after the other, each at
    its own length. It is traced once: all signatures of an export call the same function, or the export would contain
    it several times.

    Args:
        model: a model with a `ReformerBackbone`.

    Attributes:
        vocabulary_size: the number of the model's ids.
        longest: the number of tokens of the longest row.

    Call arguments of all methods:
        ids: int32 `[B, L]`; padding must be valid ids too.
        lengths: int32 `[B]`, the number of real tokens of each row.
    """

    def __init__(self, model: HeadedModel):
        self._model = model
        config: dict[str, Any] = model.backbone.config
        self.vocabulary_size: int = config["vocabulary_size"]
        self.longest: int = config["max_sequence_length"]
        specs = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
        encode = self._together if model.backbone.ignores_padding else self._one_by_one
        self._encode = tf.function(encode, input_signature=specs, autograph=False)

    def vectors(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The vectors of the backbone, float32 `[B, L, M]`; zero for padding."""
        return self._encode(ids, lengths)

    def outputs(self, ids: tf.Tensor, lengths: tf.Tensor) -> Any:
        """The outputs of the model in float32; zero for padding."""
        mask = tf.sequence_mask(lengths, tf.shape(ids)[1])
        results = self._model.apply_head(self.vectors(ids, lengths), mask, None, False)
        return tf.nest.map_structure(lambda result: _zero_beyond(mask, tf.cast(result, tf.float32)), results)

    def token_losses(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The losses of a language model, float32 `[B, L - 1]`, nats; zero for padding. Never holds all logits."""
        vectors = self.vectors(ids[:, :-1], lengths - 1)
        losses = self._model.head.token_losses(vectors, ids[:, 1:])
        return _zero_beyond(tf.sequence_mask(lengths - 1, tf.shape(losses)[1]), losses)

    def _together(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(ids)[1])
        # A strictly causal backbone gives the same vectors without a mask, and is faster without.
        needed_mask = None if self._model.backbone.strictly_causal else mask
        return _zero_beyond(mask, tf.cast(self._model.encode(ids, needed_mask, None, None, None), tf.float32))

    def _one_by_one(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        longest = tf.shape(ids)[1]

        def one(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            ids, length = row
            vectors = tf.cast(self._model.encode(ids[None, :length], None, None, None, None), tf.float32)[0]
            return tf.pad(vectors, [[0, longest - length], [0, 0]])

        result = tf.TensorSpec([None, self._model.backbone.output_dim], tf.float32)
        # One row at a time: in parallel, as many rows as there are threads would be in memory.
        return tf.map_fn(one, (ids, lengths), fn_output_signature=result, parallel_iterations=1)


def _zero_beyond(mask: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Sets the results of padding to zero; a result without a length axis, `[B, classes]`, is returned unchanged."""
    if result.shape[1] is not None:
        return result
    return tf.where(tf.reshape(mask, [*tf.unstack(tf.shape(mask)), *[1] * (result.shape.rank - 2)]), result, 0.0)

"""Runs a model of sources and targets on rows of different lengths so that no row depends on others or on padding.

Shape letters: B batch, S length of the sources, L length of the targets, V target vocabulary, M width of the encoder's
vectors.
"""

import tensorflow as tf

from reformer_tf.models import ReformerSeq2Seq


class IndependentPairs:
    """Runs a model on padded rows.

    Where padding would change something, the encoder, the decoder or both run on one row after the other, each at its
    own length. Each is traced once: all signatures of an export call the same two functions.

    Args:
        model: the model.

    Attributes:
        context_width: M.

    Call arguments of all methods:
        source: int32 `[B, S]`; padding must be valid ids too.
        source_lengths: int32 `[B]`, the number of real tokens of each source, at least 1.
        target: int32 `[B, L]`, as the source.
        target_lengths: int32 `[B]`, at least 1.
    """

    def __init__(self, model: ReformerSeq2Seq):
        self._model = model
        self.context_width: int = model.encoder.output_dim
        ids, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        self._context_spec = tf.TensorSpec([None, None, self.context_width], model.encoder.output.dtype)
        encode = self._encode_together if model.encoder.ignores_padding else self._encode_one_by_one
        decode = self._decode_together if model.decoder.strictly_causal else self._decode_one_by_one
        self._encode = tf.function(encode, input_signature=[ids, lengths], autograph=False)
        signature = [ids, lengths, self._context_spec, lengths]
        self._decode = tf.function(decode, input_signature=signature, autograph=False)

    def context(self, source: tf.Tensor, source_lengths: tf.Tensor) -> tf.Tensor:
        """The vectors of the encoder, `[B, S, M]`; zero for padding."""
        return self._encode(source, source_lengths)

    def logits(
        self, source: tf.Tensor, source_lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> tf.Tensor:
        """The logits of each token of the targets, float32 `[B, L, V]`; zero for padding."""
        logits = self._model.head(self._hidden(source, source_lengths, target, target_lengths))
        return tf.where(_mask(target, target_lengths)[:, :, None], tf.cast(logits, tf.float32), 0.0)

    def token_losses(
        self, source: tf.Tensor, source_lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> tf.Tensor:
        """The losses of the targets, float32 `[B, L]`, nats; zero for padding. Never holds all logits."""
        hidden = self._hidden(source, source_lengths, target, target_lengths)
        losses = tf.cast(self._model.head.token_losses(hidden, target), tf.float32)
        return tf.where(_mask(target, target_lengths), losses, 0.0)

    def _hidden(
        self, source: tf.Tensor, source_lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> tf.Tensor:
        return self._decode(target, target_lengths, self.context(source, source_lengths), source_lengths)

    def _encode_together(self, source: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        mask = _mask(source, lengths)
        vectors = self._model.encode(source, mask)
        return tf.where(mask[:, :, None], vectors, tf.zeros([], vectors.dtype))

    def _encode_one_by_one(self, source: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        longest = tf.shape(source)[1]

        def one(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            ids, length = row
            return tf.pad(self._model.encode(ids[None, :length], None)[0], [[0, longest - length], [0, 0]])

        result = tf.TensorSpec(self._context_spec.shape[1:], self._context_spec.dtype)
        # One row at a time: in parallel, as many rows as there are threads would be in memory.
        return tf.map_fn(one, (source, lengths), fn_output_signature=result, parallel_iterations=1)

    def _decode_together(
        self, target: tf.Tensor, target_lengths: tf.Tensor, context: tf.Tensor, source_lengths: tf.Tensor
    ) -> tf.Tensor:
        # A strictly causal decoder needs no mask of the targets.
        return self._model.decoder(target, context=context, context_mask=_mask(context, source_lengths))

    def _decode_one_by_one(
        self, target: tf.Tensor, target_lengths: tf.Tensor, context: tf.Tensor, source_lengths: tf.Tensor
    ) -> tf.Tensor:
        longest = tf.shape(target)[1]

        def one(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            ids, length, vectors, source_length = row
            hidden = self._model.decoder(ids[None, :length], context=vectors[None, :source_length])[0]
            return tf.pad(hidden, [[0, longest - length], [0, 0]])

        result = tf.TensorSpec([None, self._model.decoder.output_dim], self._model.decoder.output.dtype)
        rows = (target, target_lengths, context, source_lengths)
        return tf.map_fn(one, rows, fn_output_signature=result, parallel_iterations=1)


def _mask(rows: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    return tf.sequence_mask(lengths, tf.shape(rows)[1])

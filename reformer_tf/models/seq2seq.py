"""A Reformer that maps one sequence to another: translation, summaries, transcription."""

from collections.abc import Sequence
from typing import Any

import keras

from reformer_tf.generation import samplers, translate
from reformer_tf.layers import parts
from reformer_tf.models import model_arguments, seq2seq_options, token_scores
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.decoder import ReformerDecoder
from reformer_tf.models.pair_scores import PairScores


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerSeq2Seq(PairScores):
    """An encoder and a decoder: source ids `[B, S]` and target ids `[B, L]` to logits `[B, L, V]`.

    Position i scores `target[:, i]` given the source and `target[:, :i]`; a learnt vector stands before the target, so
    no id is reserved. Let targets end with an id of their own, which ends generated rows. Both stacks are reversible:
    activations are stored once for each of the two, whatever their depth, and the gradient of the encoder's output is
    summed over the decoder's layers in float32. `token_losses` gives the losses of known targets without forming the
    logits; `compile(optimizer)` without a loss and `fit({"source": ids, "target": ids})` train with it.

    Args:
        source_vocabulary_size: the number of source ids.
        target_vocabulary_size: V, the number of target ids.
        max_source_length: the longest source.
        max_target_length: the longest target.
        num_encoder_layers: the number of the encoder's blocks: self-attention and feed-forward.
        num_decoder_layers: the number of the decoder's blocks: self-attention, cross-attention and feed-forward.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        encoder_attention_layers: the kind of attention of each encoder layer, or a pattern of kinds that is repeated.
        decoder_attention_layers: the same for the self-attention of the decoder.
        cross_attention: the kind of cross-attention, `"full"` or `"performer"`.
        share_embeddings: whether sources and targets have one embedding; they then have one vocabulary.
        label_smoothing: of the training loss, in [0, 1), see `TokenHead.token_losses`; evaluation is without it.
        dropout: fraction of embeddings and branch outputs to drop in training.
        attention_dropout: fraction of attention probabilities to drop in training.
        reversible: whether the stacks save memory by recomputation.
        tie_embeddings: whether the head's kernel is the table of the target embedding.
        head_bias: whether the head has a bias for each token.
        cross_attention_options: further arguments of the layers with cross-attention.
        encoder_options: arguments of `ReformerBackbone` for the encoder alone, such as `{"chunk_length": 128}`.
        decoder_options: the same for the decoder.
        seed: non-negative integer from which each layer's own seed comes.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits and losses are float32.
        name: of the model.
        trainable: see `keras.Model`.
        **options: further arguments of `ReformerBackbone` for both (`chunk_length`, `num_hashes`, `positions`, ...).

    Call arguments:
        inputs: a dict of `"source"`, integers `[B, S]`, `"target"`, integers `[B, L]`, and optionally `"source_mask"`
            and `"target_mask"`, boolean, True for real tokens.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Raises:
        ValueError: for sizes that are not positive, unknown kinds, lists or options that do not fit, shared embeddings
            of vocabularies of two sizes, or tied embeddings with concatenated streams.

    Example:
        >>> model = ReformerSeq2Seq(257, 257, 1024, 512, 2, 2, 32, 2, 16, 64, ["local", "lsh"], ["local"])
        >>> pairs = {"source": np.zeros((1, 1000), "int32"), "target": np.zeros((1, 200), "int32")}
        >>> model(pairs).shape
        TensorShape([1, 200, 257])
        >>> model.token_losses(pairs).shape
        TensorShape([1, 200])

    References:
        Kitaev, Kaiser, Levskaya, 2020, Reformer: The Efficient Transformer, section 5 (WMT 2014 translation).
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        max_source_length: int,
        max_target_length: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        hidden_dim: int,
        num_heads: int,
        key_dim: int,
        intermediate_dim: int,
        encoder_attention_layers: Sequence[str],
        decoder_attention_layers: Sequence[str],
        cross_attention: str = "full",
        share_embeddings: bool = False,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        reversible: bool = True,
        tie_embeddings: bool = True,
        head_bias: bool = True,
        cross_attention_options: dict[str, Any] | None = None,
        encoder_options: dict[str, Any] | None = None,
        decoder_options: dict[str, Any] | None = None,
        seed: int = 0,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **options: Any,
    ):
        config: dict[str, Any] = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "max_source_length": max_source_length,
            "max_target_length": max_target_length,
            "num_encoder_layers": num_encoder_layers,
            "num_decoder_layers": num_decoder_layers,
            "hidden_dim": hidden_dim,
            "num_heads": num_heads,
            "key_dim": key_dim,
            "intermediate_dim": intermediate_dim,
            "encoder_attention_layers": encoder_attention_layers,
            "decoder_attention_layers": decoder_attention_layers,
            "cross_attention": cross_attention,
            "share_embeddings": share_embeddings,
            "label_smoothing": label_smoothing,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "reversible": reversible,
            "tie_embeddings": tie_embeddings,
            "head_bias": head_bias,
            "cross_attention_options": cross_attention_options,
            "encoder_options": encoder_options,
            "decoder_options": decoder_options,
            "seed": seed,
            **options,
        }
        model_arguments.refuse_unknown([type(self)], set(options) - seq2seq_options.SHARED)
        config = seq2seq_options.checked(config)
        of_encoder, of_decoder = seq2seq_options.split(config)
        encoder = ReformerBackbone(**of_encoder, dtype=dtype, name="encoder")
        shared = encoder.token_embedding if share_embeddings else None
        if shared is not None:
            # The lengths of both sides are checked by the model.
            shared.max_sequence_length = max(max_source_length, max_target_length)
        decoder = ReformerDecoder(
            **of_decoder,
            cross_attention=cross_attention,
            context_dim=encoder.output_dim,
            cross_attention_options=cross_attention_options,
            token_embedding=shared,
            dtype=dtype,
            name="decoder",
        )
        head = token_scores.make_head(decoder, tie_embeddings, head_bias)
        super().__init__(seed, name=name, trainable=trainable, dtype=encoder.policy)
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.config = config
        # All weights are made in the constructor.
        self.built = True
        self._parts = parts.Parts(self)

    def adapted_part(self) -> keras.Model:
        return self

    def generate(
        self,
        sources: Sequence[Sequence[int]],
        max_new_tokens: int,
        sampler: str | samplers.Sampler | samplers.BeamSearch = "beam",
        seed: int | Sequence[int] | None = None,
        stop_tokens: Sequence[int] = (),
        **options: Any,
    ) -> list[list[int]]:
        """Generates a target for each source: runs the encoder once, then token after token with caches.

        Keys and values of cross-attention (or its sums of features) are computed once for each row, and all beams share
        them.

        Args:
            sources: rows of at least one id, which may differ in length: lists, an array, a tensor, or a ragged tensor.
            max_new_tokens: the most ids of a target that no stop token ends.
            sampler: as in `ReformerCausalLM.generate`: by default beam search, or `"greedy"`, `"top_p"` and so on.
            seed: of the draws, for all rows or one for each; drawn for each row if None.
            stop_tokens: ids that end a target; the first one to appear is the row's last id.
            **options: of a sampler that is passed by name. Of beam search `num_beams`, 4 by default, and
                `length_penalty`, 0.6 by default (Vaswani et al., 2017, section 6.1).

        Returns:
            The ids of the targets, row by row. A row's target depends on its source and seed, not on the other rows.

        Raises:
            ValueError: for sources that are no rows of ids, ids beyond the vocabulary, sources beyond
                `max_source_length` or targets beyond `max_target_length`, an unknown sampler or option, or seeds that
                are not one for each row.

        Example:
            >>> model = ReformerSeq2Seq(257, 257, 64, 64, 1, 1, 16, 2, 8, 32, ["local"], ["local"])
            >>> rows = model.generate([[1, 2, 3], [4]], max_new_tokens=20, num_beams=2)
            >>> [len(row) for row in rows]
            [20, 20]
        """
        return translate.generate(self, sources, max_new_tokens, sampler, seed, stop_tokens, **options)

    def get_config(self) -> dict[str, Any]:
        changes = self._parts.changes()
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.encoder.policy),
            **self.config,
            **({parts.KEY: changes} if changes else {}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ReformerSeq2Seq":
        return parts.make(cls, config)

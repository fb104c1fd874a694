"""A Reformer that maps one sequence to another: translation, summaries, transcription."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.generation import samplers, translate
from reformer_tf.layers import parts
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models import model_arguments, seq2seq_inputs, seq2seq_options
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.decoder import ReformerDecoder
from reformer_tf.models.own_loss_model import Scored
from reformer_tf.models.token_scores import TokenScores
from reformer_tf.ops import id_ranges, shapes


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerSeq2Seq(TokenScores):
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
        if tie_embeddings and decoder.output_dim != hidden_dim:
            raise ValueError(
                'tie_embeddings must be False with combine_streams="concatenate", because the head then takes vectors'
                " twice as wide as the embedding's."
                f" Received: tie_embeddings={tie_embeddings}, combine_streams={decoder.config['combine_streams']!r}"
            )
        super().__init__(seed, name=name, trainable=trainable, dtype=encoder.policy)
        self.encoder = encoder
        self.decoder = decoder
        embedding = decoder.token_embedding if tie_embeddings else None
        self.head = TokenHead(target_vocabulary_size, embedding, head_bias, dtype=encoder.policy, name="head")
        self.head.build((None, None, decoder.output_dim))
        self.config = config
        # All weights are made in the constructor.
        self.built = True
        self._parts = parts.Parts(self)

    def adapted_part(self) -> keras.Model:
        return self

    @property
    def label_smoothing(self) -> float:
        """Of the training loss."""
        return self.config["label_smoothing"]

    def check_inputs(self, inputs: Any) -> None:
        seq2seq_inputs.by_name(inputs)

    def named_inputs(self, x: Any) -> dict[str, Any]:
        return seq2seq_inputs.tensors(x)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        return self.head(self._hidden(seq2seq_inputs.tensors(inputs, mask), seed, training))

    def encode(
        self, source: tf.Tensor, source_mask: tf.Tensor | None, seed: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """The encoder's vectors `[B, S, M]` of source ids `[B, S]`, to which the decoder attends."""
        options = {"mask": source_mask, "seed": seed, "training": training}
        # If the encoder cast the ids itself, ids beyond int32 would wrap around into the vocabulary.
        source = id_ranges.int32(source)
        context = self.encoder(source, **{name: value for name, value in options.items() if value is not None})
        return self._nan_unless_fits("source", source, context)

    def _hidden(self, inputs: dict[str, Any], seed: Any, training: bool | None) -> tf.Tensor:
        """The decoder's vectors `[B, L, M]`."""
        seed = self.resolve_seed(seed, training, inputs["source"])
        context = self.encode(inputs["source"], inputs["source_mask"], seed, bool(training))
        options = {"mask": inputs["target_mask"], "context_mask": inputs["source_mask"], "seed": seed}
        options = {name: value for name, value in options.items() if value is not None}
        hidden = self.decoder(id_ranges.int32(inputs["target"]), context=context, training=bool(training), **options)
        return self._nan_unless_fits("target", inputs["target"], hidden)

    def _nan_unless_fits(self, name: str, ids: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        """The same vectors, or NaN if there are too many ids; an embedding that both sides have cannot know that."""
        longest = self.config[f"max_{name}_length"]
        fits = id_ranges.at_most(longest, shapes.sizes(ids)[1], f"{name} must be at most {longest} ids long.")
        return vectors if fits is True else vectors + tf.cast(id_ranges.nan_unless(fits), vectors.dtype)

    def token_losses(self, inputs: Any, training: bool = False, seed: tf.Tensor | None = None) -> tf.Tensor:
        """The loss of predicting each target token, computed without holding all logits.

        Args:
            inputs: as in a call.
            training: whether this is a training call, whose losses have `label_smoothing`.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.

        Returns:
            float32 `[B, L]`, nats; zero where the target is masked. In a graph, a token that is outside the vocabulary
            and not masked makes its own loss NaN, and the losses of the tokens that see it.

        Raises:
            ValueError: for inputs that a call refuses; in eager mode for ids outside the vocabulary that are not
                masked.
        """
        hidden, targets, counted = self._hidden_and_targets(self.named_inputs(inputs), training, seed)
        smoothing = self.label_smoothing if training else 0.0
        losses = self.head.token_losses(hidden, targets, label_smoothing=smoothing)
        return tf.where(counted, losses, tf.zeros([], losses.dtype))

    def token_scores(
        self, inputs: Any, training: bool = False, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The losses of target tokens without label smoothing, and whether the likeliest token is the right one.

        Args:
            inputs: as in a call.
            training: whether this is a training call.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.

        Returns:
            float32 `[B, L]`, nats, and boolean `[B, L]`; zero and False where the target is masked.

        Raises:
            ValueError: as `token_losses` does.
        """
        return self.scores_of_tokens(*self._hidden_and_targets(self.named_inputs(inputs), training, seed))

    def _hidden_and_targets(
        self, inputs: dict[str, Any], training: bool, seed: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The vectors of all positions, the target of each, and whether that is real."""
        targets, counted = inputs["target"], inputs["target_mask"]
        if counted is None:
            counted = tf.ones_like(targets, tf.bool)
        # Ids under the mask may be anything.
        return self._hidden(inputs, seed, training), tf.where(counted, targets, tf.zeros_like(targets)), counted

    def check_own_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f'Without a loss in compile, fit takes no {name}: x holds the targets, {{"source": ids, "target":'
                    f' ids}}, and "target_mask" says which count. Received: {name} of type {type(value).__name__}'
                )

    def scored(self, inputs: dict[str, Any], y: Any, sample_weight: Any, training: bool) -> Scored:
        found = self._hidden_and_targets(inputs, training, None)
        return self.scored_tokens(*found, label_smoothing=self.label_smoothing if training else 0.0)

    def nan_unless_known(self, inputs: Any) -> tf.Tensor:
        inputs = self.named_inputs(inputs)
        embeddings = {"source": self.encoder.token_embedding, "target": self.decoder.token_embedding}
        known = [embedding.checked(inputs[name], inputs[f"{name}_mask"])[1] for name, embedding in embeddings.items()]
        return id_ranges.nan_unless(tf.reduce_all(known[0]) & tf.reduce_all(known[1]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape["target"], self.classes())

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the target."""
        implicit = previous_mask.get("target") if isinstance(previous_mask, dict) else previous_mask
        return inputs.get("target_mask", implicit)

    def generate(
        self,
        sources: Sequence[Sequence[int]],
        max_new_tokens: int,
        sampler: str | samplers.Sampler | samplers.BeamSearch = "greedy",
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
            sampler: as in `ReformerCausalLM.generate`, for instance `"greedy"` or `"beam"`.
            seed: of the draws, for all rows or one for each; drawn for each row if None.
            stop_tokens: ids that end a target; the first one to appear is the row's last id.
            **options: of a sampler that is passed by name, for instance `num_beams` and `length_penalty`.

        Returns:
            The ids of the targets, row by row. A row's target depends on its source and seed, not on the other rows.

        Raises:
            ValueError: for sources that are no rows of ids, ids beyond the vocabulary, sources beyond
                `max_source_length` or targets beyond `max_target_length`, an unknown sampler or option, or seeds that
                are not one for each row.

        Example:
            >>> model = ReformerSeq2Seq(257, 257, 64, 64, 1, 1, 16, 2, 8, 32, ["local"], ["local"])
            >>> rows = model.generate([[1, 2, 3], [4]], max_new_tokens=20, sampler="beam", num_beams=4)
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

"""Models with an encoder and a decoder: how they are called, and how they score targets."""

from typing import Any

import tensorflow as tf

from reformer_tf.models import seq2seq_inputs
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.decoder import ReformerDecoder
from reformer_tf.models.own_loss_model import Scored
from reformer_tf.models.token_scores import TokenScores
from reformer_tf.ops import id_ranges, shapes


class PairScores(TokenScores):
    """Base of models that score a target given a source; a subclass makes the parts.

    Attributes:
        config: the arguments of the model, `max_source_length`, `max_target_length` and `label_smoothing` among them.
        encoder: of sources.
        decoder: of targets, which attends to the encoder's vectors.
    """

    config: dict[str, Any]
    encoder: ReformerBackbone
    decoder: ReformerDecoder

    @property
    def label_smoothing(self) -> float:
        """Of the training loss."""
        return self.config["label_smoothing"]

    def _smoothing(self, training: bool) -> float:
        """The label smoothing of a call: evaluation is without."""
        return self.label_smoothing if training else 0.0

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
        losses = self.head.token_losses(hidden, targets, label_smoothing=self._smoothing(training))
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
        return self.scored_tokens(*found, label_smoothing=self._smoothing(training))

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

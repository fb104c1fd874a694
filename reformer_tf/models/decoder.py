"""The Reformer as a decoder: causal, with cross-attention to the output of an encoder."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras

from reformer_tf.layers import arguments, parts, sharing
from reformer_tf.layers.shifted_embedding import ShiftedEmbedding
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.models import attention_kinds, backbone_parts, model_arguments
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.backbone_model import BackboneModel

_DEFAULTS = inspect.signature(ReformerBackbone)


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerDecoder(BackboneModel):
    """A decoder without a head: target ids `[B, L]` and a context `[B, S, N]` to vectors `[B, L, output_dim]`.

    The vector at a position is made of the tokens before it, so it predicts the token there; a learnt vector stands
    before the first one, and no id is reserved. A block has three branches, each of which reads the stream that the one
    before it has changed: causal self-attention, cross-attention to the context, feed-forward (the sequence of the
    authors' code). The context may come from any encoder.

    Args:
        vocabulary_size: V, the number of token ids.
        max_sequence_length: the longest target.
        num_layers: the number of blocks.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of self-attention of each layer, or a pattern of kinds that is repeated.
        cross_attention: the kind of cross-attention, `"full"` or `"performer"`.
        context_dim: N, the width of the context; `hidden_dim` if None.
        cross_attention_options: further arguments of the layers with cross-attention, for instance
            `{"num_features": 128}`.
        token_embedding: an embedding that other models have, too; a new one if None.
        dtype: dtype policy of all layers.
        name: of the model.
        trainable: see `keras.Model`.
        **options: further arguments of `ReformerBackbone`, except `causal`.

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length; or a dict of them as `"ids"` and of `"context"`.
        context: `[B, S, N]`, unless it is in the dict.
        mask: boolean `[B, L]`, True for real tokens.
        context_mask: boolean `[B, S]`, True for real tokens of the context.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Raises:
        ValueError: as `ReformerBackbone` does, for an unknown kind of cross-attention or options that it does not take,
            and for calls without a context.

    Example:
        >>> decoder = ReformerDecoder(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"], context_dim=48)
        >>> decoder(np.zeros((1, 100), "int32"), context=np.ones((1, 1000, 48), "float32")).shape
        TensorShape([1, 100, 32])
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_sequence_length: int,
        num_layers: int,
        hidden_dim: int,
        num_heads: int,
        key_dim: int,
        intermediate_dim: int,
        attention_layers: Sequence[str],
        cross_attention: str = "full",
        context_dim: int | None = None,
        cross_attention_options: dict[str, Any] | None = None,
        token_embedding: TokenEmbedding | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **options: Any,
    ):
        if "causal" in options:
            raise ValueError(f"causal is always True in ReformerDecoder. Received: causal={options['causal']}")
        model_arguments.refuse_unknown([type(self), ReformerBackbone], options)
        config = {
            **_defaults(),
            **options,
            "vocabulary_size": vocabulary_size,
            "max_sequence_length": max_sequence_length,
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "num_heads": num_heads,
            "key_dim": key_dim,
            "intermediate_dim": intermediate_dim,
            "attention_layers": attention_layers,
            "causal": True,
        }
        self._check_embedding(token_embedding, config)
        width = hidden_dim if context_dim is None else arguments.positive_integer("context_dim", context_dim)
        cross_options = attention_kinds.checked_cross(cross_attention, cross_attention_options, config)
        cross = backbone_parts.CrossArguments(cross_attention, cross_options)
        made = backbone_parts.make(type(self), _DEFAULTS, config, {}, dtype, cross, token_embedding)
        arguments.boolean("trainable", trainable)
        ids = keras.Input((None,), dtype="int32", name="ids")
        context = keras.Input((None, width), dtype=made.policy.compute_dtype, name="context")
        embedding = ShiftedEmbedding(made.embedding, dtype=made.policy, name="shifted_embedding")
        inputs = {"ids": ids, "context": context}
        outputs = made.vectors(embedding(ids), context=context)
        super().__init__(inputs=inputs, outputs=outputs, name=name, trainable=trainable)
        del made.config["causal"]
        self._has_outer_embedding = token_embedding is not None
        self.remember(
            made,
            cross_attention=cross_attention,
            context_dim=context_dim,
            cross_attention_options=cross_options or None,
        )

    @staticmethod
    def _check_embedding(embedding: Any, config: dict[str, Any]) -> None:
        if embedding is None:
            return
        if not isinstance(embedding, TokenEmbedding):
            raise ValueError(f"token_embedding must be a TokenEmbedding or None. Received: {embedding!r}")
        for name in ("vocabulary_size", "hidden_dim"):
            if getattr(embedding, name) != config[name]:
                raise ValueError(
                    f"token_embedding must have the {name} of the decoder, {config[name]}."
                    f" Received: {getattr(embedding, name)}"
                )

    def check_inputs(self, inputs: Any) -> None:
        if set(inputs) != {"ids", "context"} or inputs["context"] is None:
            received = sorted(name for name, value in inputs.items() if value is not None)
            raise ValueError(
                f'inputs must be a dict of "ids" and "context", or ids beside context. Received: {received}'
            )
        arguments.token_ids("ids", inputs["ids"])
        arguments.vectors("context", inputs["context"], rank=3, width=self.context_width)

    def __call__(
        self, inputs: Any, context: Any = None, mask: Any = None, context_mask: Any = None, **kwargs: Any
    ) -> Any:
        model_arguments.check_call(type(self), kwargs)
        if kwargs.get("segment_ids") is not None:
            raise ValueError(
                "segment_ids must be left out of a decoder, whose context has no segments."
                f" Received: segment_ids of type {type(kwargs['segment_ids']).__name__}"
            )
        named = dict(inputs) if isinstance(inputs, dict) else {"ids": inputs, "context": context}
        # The form of Keras, in which a functional model is called again from its config.
        masks = dict(mask) if isinstance(mask, dict) else {"ids": mask, "context": context_mask}
        for name, x in named.items():
            if masks.get(name) is None and not isinstance(x, keras.KerasTensor):
                masks[name] = getattr(x, "_keras_mask", None)
        if any(value is not None for value in masks.values()):
            kwargs["mask"] = masks
        return super().__call__(named, **kwargs)

    @property
    def context_width(self) -> int:
        """N, the width of the context."""
        return self.config["context_dim"] or self.config["hidden_dim"]

    def get_config(self) -> dict[str, Any]:
        shared = sharing.serialize([self.token_embedding])[0] if self._has_outer_embedding else None
        return {**super().get_config(), "token_embedding": shared}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ReformerDecoder":
        model_arguments.refuse_unknown([cls, ReformerBackbone], set(config) - {parts.KEY})
        shared = config.get("token_embedding")
        if shared is not None:
            config = {**config, "token_embedding": sharing.deserialize([shared])[0]}
        return parts.make(cls, config)


def _defaults() -> dict[str, Any]:
    """The defaults of the arguments of `ReformerBackbone` that `backbone_parts.make` takes."""
    left_out = ("dtype", "name", "trainable", "kwargs")
    parameters = _DEFAULTS.parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in left_out}

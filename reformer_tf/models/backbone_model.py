"""Base of the models without a head: what encoders, language models and decoders have alike."""

from typing import Any, TypeVar

import keras

from reformer_tf.layers import parts
from reformer_tf.layers.attention import SelfAttention
from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.models.backbone_parts import BackboneParts
from reformer_tf.models.fine_tuning import FineTuned

_Model = TypeVar("_Model", bound="BackboneModel")


class BackboneModel(CheckedInputs, FineTuned, keras.Model):
    """Base of functional models of `BackboneParts`; a subclass calls `remember` at the end of its constructor.

    Attributes:
        config: the arguments of the constructor, as plain numbers, lists and dicts.
        policy: the dtype policy of all layers.
        token_embedding: of the tokens.
    """

    config: dict[str, Any]
    policy: Any
    token_embedding: TokenEmbedding

    def remember(self, made: BackboneParts, **own: Any) -> None:
        """Sets the attributes.

        Args:
            made: the layers of the model.
            **own: arguments of the constructor that the parts do not know.
        """
        self._register_call_context_args("segment_ids", "seed")
        self.supports_masking = True
        self.config = {**made.config, **own}
        self.policy = made.policy
        self.token_embedding = made.embedding
        self._parts = parts.Parts(self)

    def adapted_part(self: _Model) -> _Model:
        return self

    @property
    def output_dim(self) -> int:
        """The width of the output: `hidden_dim`, or twice that if the streams are concatenated."""
        return self.output_shape[-1]

    @property
    def self_attention(self) -> list[SelfAttention]:
        """The layers of self-attention, block after block."""
        layers = (branch.layer for branch in self.get_layer("stack").branches)
        return [layer for layer in layers if isinstance(layer, SelfAttention)]

    @property
    def strictly_causal(self) -> bool:
        """Whether tokens added at the end, padding included, never change the outputs before them."""
        return all(layer.strictly_causal for layer in self.self_attention)

    @property
    def ignores_padding(self) -> bool:
        """Whether padding at the end never changes the outputs before it, because the mask excludes it from them."""
        return all(layer.ignores_padding for layer in self.self_attention)

    def get_config(self) -> dict[str, Any]:
        changes = self._parts.changes()
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.policy),
            **self.config,
            **({parts.KEY: changes} if changes else {}),
        }

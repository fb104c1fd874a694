"""The layers of a backbone from its arguments: embedding, positions, reversible stack, normalisation.

Encoders and language models have blocks of self-attention and a feed-forward layer; in decoders, cross-attention stands
between them.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.feed_forward import ChunkedFeedForward
from reformer_tf.layers.normalization import ChunkedLayerNormalization
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible import ReversibleStack
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.models import attention_kinds, model_arguments, position_layers


class CrossArguments(NamedTuple):
    """The cross-attention of a decoder.

    Attributes:
        kind: its kind.
        options: further arguments of its layers.
    """

    kind: str
    options: Mapping[str, Any]


class BackboneParts(NamedTuple):
    """The layers of a backbone.

    Attributes:
        config: the arguments of the backbone, as plain numbers, lists and dicts.
        policy: the dtype policy of all layers.
        embedding: of the tokens.
        position: embeddings of positions, or None.
        dropout: of the embeddings, or None.
        stack: the blocks.
        normalization: of the outputs.
    """

    config: dict[str, Any]
    policy: Any
    embedding: TokenEmbedding
    position: keras.layers.Layer | None
    dropout: SeededDropout | None
    stack: ReversibleStack
    normalization: ChunkedLayerNormalization

    def vectors(self, embedded: keras.KerasTensor, **context: keras.KerasTensor) -> keras.KerasTensor:
        """The outputs of the backbone from embedded tokens `[B, L, M]`, and from `context` where it attends to one."""
        x = embedded if self.position is None else self.position(embedded)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.normalization(self.stack(x, **context))


def make(
    owner: type,
    signature: inspect.Signature,
    config: Mapping[str, Any],
    others: Mapping[str, Any],
    dtype: Any,
    cross: CrossArguments | None = None,
    embedding: TokenEmbedding | None = None,
) -> BackboneParts:
    """Checks the arguments of a backbone and makes its layers.

    Args:
        owner: the class of the backbone.
        signature: of `ReformerBackbone`, for the defaults.
        config: the arguments that `ReformerBackbone` describes, all of them but `dtype`, `name` and `trainable`.
        others: arguments that the owner does not know, to be refused.
        dtype: dtype policy of all layers.
        cross: the cross-attention of a decoder; None for none.
        embedding: of the tokens, to be shared with another backbone; a new one if None.

    Raises:
        ValueError: as `ReformerBackbone` does.
    """
    config = {argument: arguments.plain(value) for argument, value in config.items()}
    model_arguments.refuse_unknown([owner], others)
    model_arguments.check_values(config)
    model_arguments.check_used(config)
    kinds = attention_kinds.pattern(config["attention_layers"], config["num_layers"])
    overrides = attention_kinds.checked_options(config["attention_options"], kinds)
    attention_kinds.check_abilities(kinds, config)
    attention_kinds.report_without_effect(kinds, config, signature)
    config["attention_options"] = overrides or None
    initializer = config["kernel_initializer"]
    if initializer is None:
        # The variance 1 / (3 fan_in) is that of a uniform distribution within 1 / sqrt(fan_in).
        initializer = keras.initializers.VarianceScaling(1.0 / 3.0, "fan_in", "uniform")
    else:
        initializer = keras.initializers.get(initializer)
        config["kernel_initializer"] = keras.initializers.serialize(initializer)
    policy, seeds = model_arguments.dtype_policy(dtype), iter(model_arguments.layer_seeds(config["seed"]))
    # What layers follow: the arguments, with what their defaults stand for.
    values = {
        **config,
        "kernel_initializer": initializer,
        "local_chunk_length": config["local_chunk_length"] or config["chunk_length"],
    }
    blocks = [
        _block(index, kind, values, overrides.get(kind, {}), cross, seeds, policy) for index, kind in enumerate(kinds)
    ]
    if embedding is None:
        embedding = TokenEmbedding(
            config["vocabulary_size"],
            config["hidden_dim"],
            config["max_sequence_length"],
            scale=config["embedding_scale"],
            dtype=policy,
            name="token_embedding",
        )
    position = position_layers.make(
        config["positions"],
        config["max_sequence_length"],
        config["hidden_dim"],
        config["axial_shape"],
        config["axial_dims"],
        policy,
    )
    dropout = None
    if config["dropout"]:
        dropout = SeededDropout(config["dropout"], seed=next(seeds), dtype=policy, name="embedding_dropout")
    stack = ReversibleStack(
        blocks, config["reversible"], config["combine_streams"], seed=next(seeds), dtype=policy, name="stack"
    )
    normalization = ChunkedLayerNormalization(epsilon=config["layer_norm_epsilon"], dtype=policy, name="final_norm")
    return BackboneParts(config, policy, embedding, position, dropout, stack, normalization)


def _block(
    index: int,
    kind: str,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    cross: CrossArguments | None,
    seeds: Iterator[int],
    policy: Any,
) -> list[ResidualBranch]:
    """The branches of a block: self-attention, cross-attention in a decoder, feed-forward."""
    named = {**attention_kinds.layer_arguments(kind, values), **options}
    layers: list[keras.layers.Layer] = [
        registry.get(kind)(**named, seed=next(seeds), dtype=policy, name=f"{kind}_attention_{index}")
    ]
    if cross is not None:
        named = {**attention_kinds.cross_arguments(cross.kind, values), **cross.options}
        cls = registry.get_cross(cross.kind)
        layers.append(cls(**named, seed=next(seeds), dtype=policy, name=f"{cross.kind}_cross_attention_{index}"))
    layers.append(
        ChunkedFeedForward(
            values["intermediate_dim"],
            activation=values["activation"],
            gated=values["gated"],
            chunk_length=values["feed_forward_chunk_length"],
            kernel_initializer=values["kernel_initializer"],
            dtype=policy,
            name=f"feed_forward_{index}",
        )
    )
    rate, epsilon = values["dropout"], values["layer_norm_epsilon"]
    return [
        ResidualBranch(layer, rate, epsilon, seed=next(seeds), dtype=policy, name=f"{layer.name}_branch")
        for layer in layers
    ]

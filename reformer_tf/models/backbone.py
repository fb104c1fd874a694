"""The Reformer without a head: embedding, positions, reversible stack, normalisation."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras

from reformer_tf.layers import arguments, parts
from reformer_tf.models import attention_kinds, backbone_parts, model_arguments, presets
from reformer_tf.models.backbone_model import BackboneModel


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerBackbone(BackboneModel):
    """The Reformer without a head: ids `[B, L]` to vectors `[B, L, output_dim]`.

    Args:
        vocabulary_size: V, the number of token ids.
        max_sequence_length: the longest input.
        num_layers: the number of blocks, each an attention and a feed-forward branch.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of attention of each layer (`"lsh"`, `"local"`, `"full"`); a shorter list is a
            pattern that is repeated, and must divide `num_layers`. Arguments of kinds that it does not name have no
            effect, which is logged; so the same arguments serve models of several patterns.
        chunk_length: C of LSH layers.
        local_chunk_length: C of local layers; `chunk_length` if None.
        num_hashes: R, hash rounds of LSH layers.
        num_buckets: buckets of LSH layers, an even number or a list of even factors; by default they follow from
            `max_sequence_length`.
        dropout: fraction of embeddings and branch outputs to drop in training.
        attention_dropout: fraction of attention probabilities to drop in training.
        reversible: whether the stack saves memory by recomputation.
        causal: whether a token sees no later token.
        local_round: whether LSH layers have a round sorted by position before the hash rounds; the layer's default if
            None.
        redraw_rotations: whether LSH layers draw new rotations at every training step.
        activation: of the feed-forward layers.
        gated: whether feed-forward layers are gated.
        feed_forward_chunk_length: tokens of a feed-forward chunk; by default a memory budget decides.
        positions: `"axial"`, `"learned"`, `"sinusoidal"` or `"none"`.
        axial_shape: axes of axial positions; by default nearly square.
        axial_dims: their widths; by default halves of `hidden_dim`.
        rotary: whether local and full layers rotate queries and keys by position. LSH layers hash content and do not.
        attention_options: further arguments of the attention layers by kind, for instance
            `{"lsh": {"use_bias": True}}`. They override what follows from the other arguments.
        combine_streams: `"mean"`, the mean of the two residual streams, or `"concatenate"`, both side by side.
        layer_norm_epsilon: of all layer normalisations.
        embedding_scale: factor of the token vectors; `sqrt(hidden_dim)` if None.
        kernel_initializer: of the projections of attention and feed-forward layers; if None, uniform within
            `1 / sqrt(fan_in)`, with which Adam reaches a lower loss in the same steps than with Keras'
            `"glorot_uniform"`.
        seed: non-negative integer from which each layer's own seed comes.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`.
        name: of the model.
        trainable: see `keras.Model`.
        **kwargs: none; other names are refused.

    Later changes of a model's parts (`backbone.token_embedding.trainable = False`, a dtype policy, the rate of a
    dropout) are in its config as `"parts"`, so that files, `from_config` and copies restore them. `clone_model` of a
    backbone gives a plain functional model of the same layers; `from_config(backbone.get_config())` gives another
    backbone.

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length.
        mask: boolean `[B, L]`, True for real tokens.
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Returns:
        `[B, L, output_dim]` in the compute dtype.

    Raises:
        ValueError: for sizes that are not positive, unknown kinds, lists that do not fit, options that layers do not
            take, or what a kind of attention cannot do.

    Example:
        >>> model = ReformerBackbone(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model(np.zeros((1, 1000), "int32")).shape
        TensorShape([1, 1000, 32])

    References:
        Kitaev, Kaiser, Levskaya, 2020, Reformer: The Efficient Transformer.
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
        chunk_length: int = 64,
        local_chunk_length: int | None = None,
        num_hashes: int = 4,
        num_buckets: int | Sequence[int] | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        reversible: bool = True,
        causal: bool = False,
        local_round: bool | None = None,
        redraw_rotations: bool = True,
        activation: Any = "gelu",
        gated: bool = False,
        feed_forward_chunk_length: int | None = None,
        positions: str = "axial",
        axial_shape: Sequence[int] | None = None,
        axial_dims: Sequence[int] | None = None,
        rotary: bool = False,
        attention_options: dict[str, dict[str, Any]] | None = None,
        combine_streams: str = "mean",
        layer_norm_epsilon: float = 1e-6,
        embedding_scale: float | None = None,
        kernel_initializer: Any = None,
        seed: int = 0,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **kwargs: Any,
    ):
        config: dict[str, Any] = {
            "vocabulary_size": vocabulary_size,
            "max_sequence_length": max_sequence_length,
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "num_heads": num_heads,
            "key_dim": key_dim,
            "intermediate_dim": intermediate_dim,
            "attention_layers": attention_layers,
            "chunk_length": chunk_length,
            "local_chunk_length": local_chunk_length,
            "num_hashes": num_hashes,
            "num_buckets": num_buckets,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "reversible": reversible,
            "causal": causal,
            "local_round": local_round,
            "redraw_rotations": redraw_rotations,
            "activation": activation,
            "gated": gated,
            "feed_forward_chunk_length": feed_forward_chunk_length,
            "positions": positions,
            "axial_shape": axial_shape,
            "axial_dims": axial_dims,
            "rotary": rotary,
            "attention_options": attention_options,
            "combine_streams": combine_streams,
            "layer_norm_epsilon": layer_norm_epsilon,
            "embedding_scale": embedding_scale,
            "kernel_initializer": kernel_initializer,
            "seed": seed,
        }
        made = backbone_parts.make(type(self), inspect.signature(ReformerBackbone), config, kwargs, dtype)
        arguments.boolean("trainable", trainable)
        ids = keras.Input((None,), dtype="int32", name="ids")
        super().__init__(inputs=ids, outputs=made.vectors(made.embedding(ids)), name=name, trainable=trainable)
        self.remember(made)

    def check_inputs(self, inputs: Any) -> None:
        """Refuses anything but ids: Keras would cast fractions, and drop a mask that is in a dict with the ids."""
        if isinstance(inputs, dict) and list(inputs) != ["ids"]:
            rule = 'inputs must be ids, or a dict of "ids": mask and segment_ids are arguments of the call.'
            raise ValueError(f"{rule} Received: {sorted(inputs)}")
        arguments.token_ids("ids", inputs["ids"] if isinstance(inputs, dict) else inputs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        model_arguments.check_call(type(self), kwargs)
        if kwargs.get("segment_ids") is not None:
            attention_kinds.check_segments(self.config["attention_layers"])
        return super().__call__(inputs, *args, **kwargs)

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "ReformerBackbone":
        """Makes a new backbone, with weights of its own, of the sizes and options of a published model.

        Args:
            name: a key of `reformer_tf.models.presets.PRESETS`, `"reformer-enwik8"` for instance.
            **overrides: arguments that replace the preset's or that it does not have, for instance `causal=True`, with
                which the published models were trained.

        Raises:
            ValueError: if there is no such preset.

        Example:
            >>> ReformerBackbone.from_preset("reformer-crime-and-punishment", causal=True).output_dim
            512
        """
        return cls.from_config({**presets.get(name), **overrides})

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ReformerBackbone":
        model_arguments.refuse_unknown([cls], set(config) - {parts.KEY})
        return parts.make(cls, config)

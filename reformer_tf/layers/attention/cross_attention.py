"""The base class of all kinds of cross-attention: from the tokens of one sequence to those of another."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.capabilities import AttentionCapabilities
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.attention.seeded_attention import SeededAttention
from reformer_tf.ops import seeds, shapes
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import State
from reformer_tf.ops.execution import compiled_functions


class CrossCall(NamedTuple):
    """The arguments of a call besides its two sequences, checked and completed.

    Attributes:
        mask: boolean `[B, L]`, True for real tokens, or None.
        context_mask: boolean `[B, S]`, True for real tokens of the context, or None.
        seed: int32 `[3]` if the call is random, else None.
        layer_seed: the layer's own integer seed.
        training: whether this is a training call.
    """

    mask: tf.Tensor | None
    context_mask: tf.Tensor | None
    seed: tf.Tensor | None
    layer_seed: seeds.LayerSeed
    training: bool


class CrossAttention(SeededAttention):
    """Base of the kinds of multi-head cross-attention: `[B, L, M]` and a context `[B, S, N]` to `[B, L, M]`.

    A kind has the `capabilities` of its self-attention, and implements `attend`, `context_state` and `attend_state`. A
    reversible stack, which computes a slice of the tokens and some heads at a time, calls the steps of a call itself.
    Weights are, in this order, the kernels `query` `[M, H, D]`, `key` and `value` `[N, H, D]`, and `output`
    `[H, D, M]`, each followed by its bias if `use_bias`.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        dropout: fraction of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        kernel_initializer: of the projections, drawn as matrices `[M, H * D]`.
        seed: integer that tells this layer's randomness from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: `[B, L, M]`.
        context: `[B, S, N]`, the sequence that tokens attend to.
        mask: boolean `[B, L]`, True for real tokens. Others get zeros (plus the bias of the output).
        context_mask: boolean `[B, S]`, True for real tokens, anywhere. Results are as if the others were not there; all
            tokens get zeros where a row has none.
        seed: int32 `[2]` or `[3]`, determines all randomness of this call (see `reformer_tf.ops.seeds`); by default a
            training call draws one from the layer's own generator.
        training: whether dropout (and redrawn features) are on.

    Raises:
        ValueError: for sizes that are not positive, a dropout outside [0, 1), arguments that ask for what the kind
            cannot do, or sequences of other shapes than the weights were made for.
    """

    capabilities: ClassVar[AttentionCapabilities]

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        dropout: float = 0.0,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_heads, key_dim, False, use_bias, False, kernel_initializer, **kwargs)
        self.set_randomness(dropout, seed)
        self.capabilities.check(type(self).__name__, {"dropout": dropout})
        self.supports_masking = True
        self._register_call_context_args("seed")

    def build(self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...]) -> None:
        widths = {"inputs": inputs_shape, "context": context_shape}
        width, self.context_width = (self.known_width(name, shape) for name, shape in widths.items())
        self.build_projections(width, self.context_width)

    def call(
        self,
        inputs: tf.Tensor,
        context: tf.Tensor,
        mask: tf.Tensor | None = None,
        context_mask: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        inputs, context = tf.convert_to_tensor(inputs), self.checked_context(context)
        call = self.prepare(inputs, context, mask, context_mask, seed, training)
        heads = Heads(0, self.num_heads)
        query = self.project_queries(inputs, heads, call.mask)
        vectors = [query, *self.project_context(context, heads, call.context_mask)]
        return tf.ensure_shape(self.merge(self.attend_heads(vectors, heads, call), heads), inputs.shape)

    def checked_context(self, context: Any) -> tf.Tensor:
        """The context as a tensor.

        Raises:
            ValueError: if it is not `[B, S, N]` of the width that the weights were made for.
        """
        arguments.vectors("context", context, rank=3, width=self.context_width)
        return tf.convert_to_tensor(context)

    def prepare(
        self, inputs: tf.Tensor, context: tf.Tensor, mask: Any, context_mask: Any, seed: Any, training: bool | None
    ) -> CrossCall:
        """Checks and completes the arguments of a call."""
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, inputs)
        if context_mask is not None:
            context_mask = arguments.per_token("context_mask", context_mask, tf.bool, context)
        seed = self.resolve_seed(seed, training, shapes.sizes(inputs)[0])
        return CrossCall(mask, context_mask, seed, self.seed, bool(training))

    def attend_heads(self, vectors: Sequence[tf.Tensor], heads: Heads, call: CrossCall) -> tf.Tensor:
        """Attends.

        Args:
            vectors: queries `[B, L, h, D]`, keys and values `[B, S, h, D]`.
            heads: of the vectors.
            call: arguments of the call.

        Returns:
            `[B, L, h, D]`, zero for masked tokens, and where no token of the context is real.
        """
        query, key, value = vectors
        batch = shapes.sizes(query)[0]

        def per_head(x: tf.Tensor | None) -> tf.Tensor | None:
            return None if x is None else tf.repeat(x, heads.count, axis=0)

        # Functions inside may be compiled in training; an exported model must run where XLA is not linked in.
        with compiled_functions.compiling_functions(call.training):
            return self.attend(
                query,
                key,
                value,
                valid=per_head(call.mask),
                key_valid=per_head(call.context_mask),
                dropout=self.pair_dropout(call, heads, batch),
                **self.drawn(call),
            )

    def drawn(self, call: CrossCall) -> Mapping[str, Any]:
        """Further arguments of `attend`, for a kind that draws them for a call, or keeps them as weights."""
        return {}

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        key_valid: tf.Tensor | None,
        dropout: PairDropout | None,
    ) -> tf.Tensor:
        """Attends; each kind implements this step.

        Args:
            query: `[B, L, h, D]`, scaled. There are N = B * h sequences.
            key: `[B, S, h, D]`.
            value: `[B, S, h, D]`.
            valid: boolean `[N, L]` or None.
            key_valid: boolean `[N, S]` or None.
            dropout: of the attention probabilities in this call, or None.

        Returns:
            `[B, L, h, D]`, zero for masked tokens, and where no token of the context is real.
        """
        raise NotImplementedError

    def context_state(self, context: tf.Tensor, context_mask: tf.Tensor | None) -> State:
        """What decoding needs of a context, computed once for each row.

        Args:
            context: `[B, S, N]`.
            context_mask: boolean `[B, S]`, or None.

        Returns:
            Tensors whose first axis is B.
        """
        key, value = self.project_context(context, Heads(0, self.num_heads), context_mask)
        return self.summarised(key, value, context_mask)

    def decode(self, inputs: tf.Tensor, state: State) -> tf.Tensor:
        """Runs the layer on one token of each row, or of each of K continuations of a row, in inference.

        Args:
            inputs: `[B * K, 1, M]`, the continuations of a row one after another.
            state: from `context_state`, of B rows.

        Returns:
            `[B * K, 1, M]`.
        """
        heads = Heads(0, self.num_heads)
        query = self.project_queries(inputs, heads, None)
        batch = shapes.sizes(next(iter(state.values())))[0]
        number, _, count, size = shapes.sizes(query)
        beams = number // shapes.maximum(batch, 1)
        output = self.attend_state(tf.reshape(query, [batch, beams, count, size]), state)
        return self.merge(tf.reshape(output, [number, 1, count, size]), heads)

    def summarised(self, key: tf.Tensor, value: tf.Tensor, context_mask: tf.Tensor | None) -> State:
        """What decoding needs of the keys and values `[B, S, H, D]` of a context; each kind implements it."""
        raise NotImplementedError

    def attend_state(self, query: tf.Tensor, state: State) -> tf.Tensor:
        """Attends from queries `[B, K, H, D]` to a context by what `summarised` returned; each kind implements it."""
        raise NotImplementedError

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "dropout": self.dropout, "seed": self.seed}
        del config["shared_query_key"], config["rotary"]
        return config

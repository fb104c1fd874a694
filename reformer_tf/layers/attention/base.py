"""The base class of all kinds of self-attention: masks, seeds, and the steps of a call."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, declared_by
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.attention.seeded_attention import SeededAttention
from reformer_tf.ops import replay, seeds, shapes
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import Cache
from reformer_tf.ops.execution import compiled_functions

# Call arguments of keras.layers.MultiHeadAttention, and what to use instead.
_NOT_HERE = {
    "attention_mask": "use mask ([B, L], True for real tokens), causal=True or segment_ids",
    "return_attention_scores": "the L x L scores are never formed; use FullSelfAttention's output to compare",
    "use_causal_mask": "set causal=True when the layer is made",
    "query_mask": "use mask",
    "value_mask": "use mask",
    "key_mask": "use mask",
    "value": "self-attention takes one input",
    "key": "self-attention takes one input",
}


class Call(NamedTuple):
    """The arguments of a call besides its inputs, checked and completed.

    Attributes:
        mask: boolean `[B, L]`, True for real tokens, or None.
        segments: int32 `[B, L]` or None.
        seed: int32 `[3]` if the call is random, else None.
        layer_seed: the layer's own integer seed.
        training: whether this is a training call.
    """

    mask: tf.Tensor | None
    segments: tf.Tensor | None
    seed: tf.Tensor | None
    layer_seed: seeds.LayerSeed
    training: bool


class SelfAttention(SeededAttention):
    """Base of the kinds of multi-head self-attention: `[B, L, M]` to `[B, L, M]`.

    A kind declares its `capabilities` and implements `attend`. A call projects tokens, attends, and merges heads; a
    reversible stack, which computes a slice of the tokens and some heads at a time, calls these steps itself. Weights
    are, in this order, the kernels `query_key` and `value` (shared) or `query`, `key` and `value`, each `[M, H, D]`,
    and `output` `[H, D, M]`, each followed by its bias if `use_bias`.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        causal: whether a token sees no later token.
        shared_query_key: whether keys are the normalised queries; a token then attends to itself only when it sees
            nothing else (paper, section 2, 'Causal masking').
        dropout: fraction of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions (Su et al., 2021, RoFormer).
        kernel_initializer: of the projections, drawn as matrices `[M, H * D]`.
        seed: integer that tells this layer's randomness from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: `[B, L, M]`.
        mask: boolean `[B, L]`, True for real tokens, anywhere. Results are as if the other tokens were not there.
        segment_ids: integers `[B, L]`: tokens of different segments do not see each other.
        seed: int32 `[2]` or `[3]`, determines all randomness of this call (see `reformer_tf.ops.seeds`); by default a
            training call draws one from the layer's own generator.
        training: whether dropout (and new rotations) are on.

    Raises:
        ValueError: for sizes that are not positive, a dropout outside [0, 1), arguments that ask for what the kind
            cannot do, or call arguments of other layers.
    """

    capabilities: ClassVar[AttentionCapabilities]

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        causal: bool = False,
        shared_query_key: bool = False,
        dropout: float = 0.0,
        use_bias: bool = False,
        rotary: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_heads, key_dim, shared_query_key, use_bias, rotary, kernel_initializer, **kwargs)
        self.causal = arguments.boolean("causal", causal)
        self.set_randomness(dropout, seed)
        options = {"causal": causal, "shared_query_key": shared_query_key, "dropout": dropout, "rotary": rotary}
        declared_by(type(self)).check(type(self).__name__, options)
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.known_width("inputs", input_shape)
        self.build_projections(width, width)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for name, instead in _NOT_HERE.items():
            if name in kwargs:
                raise ValueError(
                    f"{type(self).__name__} has no call argument {name}: {instead}. Received: {name}={kwargs[name]}"
                )
        return super().__call__(*args, **kwargs)

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        length = shapes.sizes(inputs)[1]
        call = self.prepare(inputs, mask, segment_ids, seed, training)
        heads = Heads(0, self.num_heads)
        vectors = self.project(inputs, heads, call.mask)
        buckets = self.buckets(vectors[0], heads, call, length)
        return tf.ensure_shape(self.merge(self.attend_heads(vectors, heads, call, buckets), heads), inputs.shape)

    def prepare(self, inputs: tf.Tensor, mask: Any, segment_ids: Any, seed: Any, training: bool | None) -> Call:
        """Checks and completes the arguments of a call."""
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, inputs)
        if segment_ids is not None:
            segment_ids = arguments.per_token("segment_ids", segment_ids, tf.int32, inputs)
        seed = self.resolve_seed(seed, training, shapes.sizes(inputs)[0])
        return Call(mask, segment_ids, seed, self.seed, bool(training))

    def buckets(self, query: tf.Tensor, heads: Heads, call: Call, length: shapes.Size) -> tf.Tensor | None:
        """The buckets of queries, hashed or replayed (`reformer_tf.ops.replay`); None if this length is not hashed."""
        if not self.hashes(length):
            return None
        buckets = replay.take()
        if buckets is None:
            buckets = self.hash(query, heads, call, length)
        replay.record(buckets)
        return buckets

    def hashes(self, length: shapes.Size) -> bool:
        """Whether sequences of this length are hashed into buckets, in `num_hashes` rounds."""
        return False

    def hash(self, query: tf.Tensor, heads: Heads, call: Call, length: shapes.Size) -> tf.Tensor:
        """Hashes queries.

        Args:
            query: `[B, l, h, D]`.
            heads: of the queries.
            call: its seed determines the rotations in training.
            length: L of the whole sequences.

        Returns:
            int32 `[B, h, R, l]`.
        """
        raise NotImplementedError

    def attend_heads(self, vectors: list[tf.Tensor], heads: Heads, call: Call, buckets: tf.Tensor | None) -> tf.Tensor:
        """Attends.

        Args:
            vectors: results of `project` for all tokens, `[B, L, h, D]` each.
            heads: of the vectors.
            call: arguments of the call.
            buckets: int32 `[B, h, R, L]` if this length is hashed.

        Returns:
            `[B, L, h, D]`, zero for masked tokens.
        """
        if call.segments is not None and self.capabilities.segments is None:
            raise ValueError(
                f"segment_ids must be left out of calls of {type(self).__name__}, which attends across segments."
                f" Received: segment_ids of shape {call.segments.shape}"
            )
        batch = shapes.sizes(vectors[0])[0]

        def per_head(x: tf.Tensor | None) -> tf.Tensor | None:
            return None if x is None else tf.repeat(x, heads.count, axis=0)

        if buckets is not None:
            buckets = tf.reshape(buckets, [batch * heads.count, *shapes.sizes(buckets)[2:]])
        query, *key, value = vectors
        # Functions inside may be compiled in training; an exported model must run where XLA is not linked in.
        with compiled_functions.compiling_functions(call.training):
            return self.attend(
                query,
                key[0] if key else None,
                value,
                valid=per_head(call.mask),
                segments=per_head(call.segments),
                dropout=self.pair_dropout(call, heads, batch),
                buckets=buckets,
                **self.drawn(call),
            )

    def drawn(self, call: Call) -> Mapping[str, Any]:
        """Further arguments of `attend`, for a kind that draws them for a call, or keeps them as weights."""
        return {}

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor | None,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        buckets: tf.Tensor | None,
    ) -> tf.Tensor:
        """Attends; each kind implements this step.

        Args:
            query: `[B, L, h, D]`, scaled. There are N = B * h sequences.
            key: `[B, L, h, D]`; or None if `shared_query_key`: `windowed.normalised` makes keys from queries.
            value: `[B, L, h, D]`.
            valid: boolean `[N, L]` or None.
            segments: int32 `[N, L]` or None.
            dropout: of the attention probabilities in this call, or None.
            buckets: int32 `[N, R, L]` if this length is hashed, else None.

        Returns:
            `[B, L, h, D]`, zero for masked tokens.
        """
        raise NotImplementedError

    def cache(self) -> Cache | None:
        """Makes a decoding cache, which stores a growing sequence; None if the layer cannot add tokens one by one.

        A layer can if an added token never changes earlier outputs. Steps with the cache give the outputs of a call on
        the whole sequence.
        """
        return None

    @property
    def strictly_causal(self) -> bool:
        """Whether tokens added at the end, including padding, never change what a token sees."""
        return self.causal

    @property
    def ignores_padding(self) -> bool:
        """Whether masked tokens at the end never change what the others see."""
        return True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "causal": self.causal,
            "dropout": self.dropout,
            "seed": self.seed,
        }

"""What all kinds of self-attention share: projections, masks, seeds, and the configuration."""

import random
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.ops import rotary, seeds, shapes
from reformer_tf.ops.pair_dropout import PairDropout

# What users of keras.layers.MultiHeadAttention pass, and what says the same here.
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


class SelfAttention(keras.layers.Layer):
    """Base of the kinds of multi-head self-attention: `[B, L, M]` to `[B, L, M]`.

    A kind implements `attend`. Weights are, in this order, the kernels `query_key` and `value` (shared) or `query`,
    `key` and `value`, each `[M, H, D]`, and `output` `[H, D, M]`, each followed by its bias if `use_bias`.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        causal: whether a token sees no later token.
        shared_query_key: whether keys are the normalised queries; a token then attends to itself only when it sees
            nothing else (paper, section 2, 'Causal masking').
        dropout: share of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions (Su et al., 2021, RoFormer).
        kernel_initializer: of the projections, drawn as matrices `[M, H * D]`.
        seed: integer that tells this layer's randomness from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.
        mask: boolean `[B, L]`, True for real tokens, anywhere. Other tokens are as if they were not there.
        segment_ids: integers `[B, L]`: tokens of different segments do not see each other.
        seed: int32 `[2]` or `[3]`, decides all randomness of this call (see `reformer_tf.ops.seeds`); by default a call
            in training draws from the layer's own generator.
        training: whether dropout (and new rotations) are on.

    Raises:
        ValueError: for sizes that are not positive, a dropout outside [0, 1), or call arguments of other layers.
    """

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
        super().__init__(**kwargs)
        self.num_heads = arguments.positive_integer("num_heads", num_heads)
        self.key_dim = arguments.positive_integer("key_dim", key_dim)
        self.causal = arguments.boolean("causal", causal)
        self.shared_query_key = arguments.boolean("shared_query_key", shared_query_key)
        self.dropout = arguments.rate("dropout", dropout)
        self.use_bias = arguments.boolean("use_bias", use_bias)
        self.rotary = arguments.boolean("rotary", rotary)
        if rotary and key_dim % 2:
            raise ValueError(f"key_dim must be even when rotary=True. Received: key_dim={key_dim}")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = random.randrange(2**31) if seed is None else arguments.integer("seed", seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                f"{type(self).__name__} takes inputs [batch, length, width] with a known width."
                f" Received: input_shape={input_shape}"
            )
        width, heads, size = input_shape[-1], self.num_heads, self.key_dim
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        names = ("query_key", "value") if self.shared_query_key else ("query", "key", "value")
        self._projections = []
        for name in names:
            kernel = self.add_weight((width, heads, size), self._matrix_initializer(width, heads * size), name=name)
            bias = self.add_weight((heads, size), "zeros", name=f"{name}_bias") if self.use_bias else None
            self._projections.append((kernel, bias))
        self._output = self.add_weight(
            (heads, size, width), self._matrix_initializer(heads * size, width), name="output"
        )
        self._output_bias = self.add_weight((width,), "zeros", name="output_bias") if self.use_bias else None

    def _matrix_initializer(self, rows: int, columns: int) -> Any:
        """Keras would take the axes of a 3-D kernel for a convolution's and scale it wrongly."""
        initializer = arguments.fresh(self.kernel_initializer)
        return lambda shape, dtype: keras.ops.reshape(initializer((rows, columns), dtype=dtype), shape)

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
        batch, length, width = shapes.sizes(inputs)
        if not inputs.dtype.is_floating or (isinstance(length, int) and length < 1):
            raise ValueError(
                "inputs must be floating numbers [batch, length, width] with a length of at least 1."
                f" Received: shape {inputs.shape} and dtype {inputs.dtype.name}"
            )
        seed = self._resolve_seed(seed, training, batch)
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, inputs)
            # What stands under the mask may be anything, NaN too.
            inputs = tf.where(mask[:, :, None], inputs, tf.zeros([], inputs.dtype))
        if segment_ids is not None:
            segment_ids = self._per_head(arguments.per_token("segment_ids", segment_ids, tf.int32, inputs))
        flat = tf.reshape(inputs, [-1, width])
        projected = [self._project(flat, batch, length, kernel, bias) for kernel, bias in self._projections]
        if self.rotary:
            projected[:-1] = [rotary.rotate(x) for x in projected[:-1]]
        query, key, value = self._scaled(projected)
        dropout = None
        if training and self.dropout:
            rows = seeds.row_keys(seed, self.seed, batch)
            dropout = PairDropout(self.dropout, tf.reshape(seeds.mix(rows[:, None], tf.range(self.num_heads)), [-1]))
        output = self.attend(
            query,
            key,
            value,
            valid=None if mask is None else self._per_head(mask),
            segments=segment_ids,
            dropout=dropout,
            seed=seed,
            training=bool(training),
        )
        output = tf.reshape(output, [batch, self.num_heads, length, self.key_dim])
        output = tf.reshape(tf.transpose(output, [0, 2, 1, 3]), [-1, self.num_heads * self.key_dim])
        output = tf.matmul(output, self._as_matrix(self._output, -1, width))
        if self._output_bias is not None:
            output += tf.convert_to_tensor(self._output_bias)
        return tf.ensure_shape(tf.reshape(output, [batch, length, width]), inputs.shape)

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        seed: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor:
        """Attends; the part that differs between kinds.

        Args:
            query: `[N, L, D]`, scaled; N = B * H.
            key: `[N, L, D]`.
            value: `[N, L, D]`.
            valid: boolean `[N, L]` or None.
            segments: int32 `[N, L]` or None.
            dropout: of the attention probabilities in this call, or None.
            seed: int32 `[3]`, if this call is random.
            training: whether this is a training call.

        Returns:
            `[N, L, D]`, zero for masked tokens.
        """
        raise NotImplementedError

    @property
    def strictly_causal(self) -> bool:
        """Whether tokens added at the end, padding too, never change what a token sees."""
        return self.causal

    def is_random(self, training: bool | None) -> bool:
        """Whether a call needs a seed."""
        return bool(training) and self.dropout > 0

    def _resolve_seed(self, seed: Any, training: bool | None, batch: shapes.Size) -> tf.Tensor | None:
        if not self.is_random(training):
            return None
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        return seeds.with_row_offset(seed, batch)

    @staticmethod
    def _as_matrix(kernel: Any, rows: int, columns: int) -> tf.Tensor:
        return tf.reshape(tf.convert_to_tensor(kernel), [rows, columns])

    def _project(self, flat: tf.Tensor, batch: shapes.Size, length: shapes.Size, kernel: Any, bias: Any) -> tf.Tensor:
        """`[B * L, M]` to `[B, H, L, D]`."""
        result = tf.matmul(flat, self._as_matrix(kernel, flat.shape[-1], -1))
        result = tf.reshape(result, [batch, length, self.num_heads, self.key_dim])
        if bias is not None:
            result += tf.convert_to_tensor(bias)
        return tf.transpose(result, [0, 2, 1, 3])

    def _scaled(self, projected: list[tf.Tensor]) -> list[tf.Tensor]:
        """Query, key and value `[N, L, D]`, such that a logit is a plain product of query and key."""
        if self.shared_query_key:
            query, value = projected
            # In at least float32: the mean square of small half-precision vectors would vanish.
            wide = tf.cast(query, shapes.statistics_dtype(query.dtype))
            mean_square = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
            key = tf.cast(wide * tf.math.rsqrt((mean_square + 1e-6) * self.key_dim), query.dtype)
        else:
            query, key, value = projected
            query *= tf.constant(self.key_dim**-0.5, query.dtype)
        return [tf.reshape(x, [-1, *(tf.shape(x)[2], self.key_dim)]) for x in (query, key, value)]

    def _per_head(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, L]` to `[N, L]`."""
        return tf.repeat(x, self.num_heads, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "causal": self.causal,
            "shared_query_key": self.shared_query_key,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "rotary": self.rotary,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }

"""The projections of all kinds of attention, from tokens to heads and back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.frozen_weights import value
from reformer_tf.layers.low_rank import Kernel, LowRankAdapted
from reformer_tf.ops import rotary, shapes, sums


class Heads(NamedTuple):
    """A range of a layer's heads.

    Attributes:
        first: the index of the first of them.
        count: h, how many.
    """

    first: shapes.Size
    count: shapes.Size


class HeadProjections(VectorLayer, LowRankAdapted, FixedArguments):
    """Projects tokens to queries, keys and values of heads, and outputs of heads to tokens; some heads at a time.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        shared_query_key: whether keys are made from the queries, and have no projection.
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions (Su et al., 2021, RoFormer).
        kernel_initializer: of the projections, drawn as matrices `[M, H * D]`.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Raises:
        ValueError: for sizes that are not positive, or an odd `key_dim` with `rotary`.
    """

    rank = 3
    fixed = frozenset({"num_heads", "key_dim", "shared_query_key", "use_bias"})

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        shared_query_key: bool,
        use_bias: bool,
        rotary: bool,
        kernel_initializer: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = arguments.positive_integer("num_heads", num_heads)
        self.key_dim = arguments.positive_integer("key_dim", key_dim)
        self.shared_query_key = arguments.boolean("shared_query_key", shared_query_key)
        self.use_bias = arguments.boolean("use_bias", use_bias)
        self.rotary = arguments.boolean("rotary", rotary)
        if rotary and key_dim % 2:
            raise ValueError(f"key_dim must be even when rotary=True. Received: key_dim={key_dim}")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def known_width(self, name: str, shape: tuple[int | None, ...]) -> int:
        """The width of an input `[batch, length, width]`.

        Raises:
            ValueError: if its shape is another, or the width not known.
        """
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(
                f"{type(self).__name__} takes {name} [batch, length, width] with a known width."
                f" Received: {name} of shape {shape}"
            )
        return shape[-1]

    def build_projections(self, width: int, key_width: int) -> None:
        """Makes the weights.

        Args:
            width: of the vectors that queries are made from, and of the outputs.
            key_width: of the vectors that keys and values are made from.
        """
        heads, size = self.num_heads, self.key_dim
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        widths = {"query_key": width, "value": width}
        if not self.shared_query_key:
            widths = {"query": width, "key": key_width, "value": key_width}
        projections = []
        for name, rows in widths.items():
            kernel = self._kernel((rows, heads, size), rows, name)
            projections.append((kernel, self._bias((heads, size), name)))
        # A tuple, because TensorFlow's checkpoints leave out variables and layers in lists.
        self._projections = tuple(projections)
        self._output = self._kernel((heads, size, width), heads * size, "output")
        self._output_bias = self._bias((width,), "output")
        self.build_lora()

    def kernels(self) -> Mapping[str, Kernel]:
        kernels = [Kernel(kernel, input_axes=1) for kernel, _ in self._projections]
        return {kernel.variable.name: kernel for kernel in (*kernels, Kernel(self._output, input_axes=2))}

    # Keras must not cast weights: their gradients would be cast before they are summed.
    def _kernel(self, shape: tuple[int, ...], rows: int, name: str) -> Any:
        initializer = self._matrix_initializer(rows, math.prod(shape) // rows)
        return self.add_weight(shape, initializer, autocast=False, name=name)

    def _bias(self, shape: tuple[int, ...], name: str) -> Any:
        return self.add_weight(shape, "zeros", autocast=False, name=f"{name}_bias") if self.use_bias else None

    def _matrix_initializer(self, rows: int, columns: int) -> Any:
        """Draws a 3-D kernel as a matrix: Keras would take its axes for those of a convolution and scale it wrongly."""
        initializer = arguments.fresh(self.kernel_initializer)
        return lambda shape, dtype: keras.ops.reshape(initializer((rows, columns), dtype=dtype), shape)

    def project(self, x: tf.Tensor, heads: Heads, mask: tf.Tensor | None, start: shapes.Size = 0) -> list[tf.Tensor]:
        """Computes queries, keys (unless they are made from the queries) and values of tokens.

        A logit is a plain product of query and key.

        Args:
            x: `[B, l, M]`.
            heads: to compute.
            mask: boolean `[B, l]`, or None.
            start: the position of the first of these tokens; or int32 `[B]`, one for each row.

        Returns:
            `[B, l, h, D]` each.
        """
        projected = self._projected(x, self._projections, heads, mask)
        if self.rotary:
            projected[:-1] = [rotary.rotate(vectors, start) for vectors in projected[:-1]]
        if not self.shared_query_key:
            projected[0] = self._scaled(projected[0])
        return projected

    def project_queries(self, x: tf.Tensor, heads: Heads, mask: tf.Tensor | None) -> tf.Tensor:
        """Computes queries alone, for cross-attention; arguments and result as in `project`."""
        (query,) = self._projected(x, self._projections[:1], heads, mask)
        return self._scaled(query)

    def project_context(self, context: tf.Tensor, heads: Heads, mask: tf.Tensor | None) -> list[tf.Tensor]:
        """Computes keys and values alone, of the sequence that queries attend to; as in `project`."""
        return self._projected(context, self._projections[1:], heads, mask)

    def _scaled(self, query: tf.Tensor) -> tf.Tensor:
        return query * tf.constant(self.key_dim**-0.5, query.dtype)

    def _projected(
        self, x: tf.Tensor, projections: Sequence[tuple[Any, Any]], heads: Heads, mask: tf.Tensor | None
    ) -> list[tf.Tensor]:
        """The products of tokens `[B, l, M]` with some of the kernels, `[B, l, h, D]` each."""
        batch, length, width = shapes.sizes(x)
        x = tf.cast(x, self.compute_dtype)  # Keras does so only inside `__call__`.
        if mask is not None:
            # Masked vectors may hold any numbers, also NaN.
            x = tf.where(mask[:, :, None], x, tf.zeros([], x.dtype))
        flat = tf.reshape(x, [-1, width])
        projected = []
        for kernel, bias in projections:
            result = sums.matmul(flat, tf.reshape(self._select_heads(value(kernel), heads, axis=1), [width, -1]))
            adapter = self.adapters().get(kernel.name)
            if adapter is not None:
                b = self._select_heads(value(adapter.b), heads, axis=1)
                result = self.adapted(result, flat, value(adapter.a), b)
            before = [batch * length, heads.count * self.key_dim]
            result = shapes.reshaped(result, before, [batch, length, heads.count, self.key_dim])
            if bias is not None:
                result = sums.bias_add(result, self._select_heads(value(bias), heads, axis=0))
            projected.append(result)
        return projected

    def merge(self, x: tf.Tensor, heads: Heads) -> tf.Tensor:
        """Computes the part of the layer's output by some heads: `[B, l, h, D]` to `[B, l, M]`."""
        batch, length = shapes.sizes(x)[:2]
        kernel = self._select_heads(value(self._output), heads, axis=0)
        width = kernel.shape[-1]
        # No size is -1: with an empty batch it could not be inferred.
        flat = tf.reshape(x, [batch * length, heads.count * self.key_dim])
        output = sums.matmul(flat, tf.reshape(kernel, [-1, width]))
        adapter = self.adapters().get(self._output.name)
        if adapter is not None:
            a = self._select_heads(value(adapter.a), heads, axis=0)
            output = self.adapted(output, flat, a, value(adapter.b))
        if self._output_bias is not None:  # Once, not for each group of heads.
            bias = value(self._output_bias)
            if shapes.static(heads.first) != 0:
                bias = tf.where(heads.first == 0, bias, tf.zeros_like(bias))
            output = sums.bias_add(output, bias)
        return tf.reshape(output, [batch, length, width])

    def _select_heads(self, weight: Any, heads: Heads, axis: int) -> tf.Tensor:
        """Takes the part of a weight that belongs to some heads; its axis `axis` is that of heads."""
        weight = tf.convert_to_tensor(weight)
        if shapes.static(heads.count) == self.num_heads:
            return weight
        begin, size = [0] * weight.shape.rank, [-1] * weight.shape.rank
        begin[axis], size[axis] = heads.first, heads.count
        shape = weight.shape.as_list()
        shape[axis] = shapes.static(heads.count)
        return tf.ensure_shape(tf.slice(weight, tf.stack(begin), tf.stack(size)), shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "shared_query_key": self.shared_query_key,
            "use_bias": self.use_bias,
            "rotary": self.rotary,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

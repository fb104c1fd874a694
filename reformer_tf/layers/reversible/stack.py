"""Reversible residual layers: activations are stored once, not once for each layer."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, branch_calls, sharing
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.feed_forward import ChunkedFeedForward
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible import repeated_blocks
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.ops import seeds, shapes
from reformer_tf.ops.execution import budgets, row_chunks
from reformer_tf.ops.execution.sequence_slices import SequenceSlices
from reformer_tf.ops.reversible.branch import Context
from reformer_tf.ops.reversible.gradient import reversible_residual

COMBINATIONS = ("mean", "concatenate")


@keras.saving.register_keras_serializable("reformer_tf")
class ReversibleStack(VectorLayer, SavesSeedState, FixedArguments):
    """Blocks of residual branches on two streams, `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)`.

    The branches add to the two streams in turn, each reading the other one; also those of blocks of three, such as the
    decoder blocks of a translation model: self-attention, cross-attention to `context`, feed-forward.

    The gradient needs only the last outputs: the backward pass computes each block's inputs, `x2 = y2 - G(y1)` and
    `x1 = y1 - F(x2)` (paper, section 3; Gomez et al., 2017). Dropout and rotations are replayed from the call's seed,
    buckets are saved. Streams are float32 whatever the compute dtype, since the subtractions amplify rounding.

    Args:
        blocks: pairs (F, G), or longer sequences, of Keras layers `[B, L, M]` to `[B, L, M]`; a layer may occur several
            times. Each gets the call arguments `mask`, `segment_ids`, `context`, `context_mask`, `seed` and `training`
            that it takes. Unless `reversible=False`, layers
            must not add losses or change state in a call, as BatchNormalization and `keras.layers.Dropout` (its random
            generator) do; `ResidualBranch` and the layers of this package do not.
        reversible: whether to save memory. If False, the same function with an ordinary gradient, for comparison.
        combine_streams: the output for a single input: `"mean"`, the mean of the two streams, or `"concatenate"`, both
            side by side, as in the released models.
        seed: integer for the stack's own generator, used by training calls without a seed.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`, from which both streams start; or a pair of such tensors.
        mask: boolean `[B, L]`.
        segment_ids: integers `[B, L]`.
        context: `[B, S, N]`, a sequence that branches may attend to, such as the output of an encoder. Its gradient is
            summed over the branches in at least float32.
        context_mask: boolean `[B, S]`, True for real tokens of the context.
        seed: int32 `[2]` or `[3]`, decides all randomness of this call.
        training: whether this is a training call.

    Returns:
        `[B, L, M]`, or `[B, L, 2 M]` if streams are concatenated; or the pair of streams if the input was a pair.
        float32 (float64 for such inputs).

    Raises:
        ValueError: if blocks have less than two layers, streams cannot be combined so, or a branch needs more than one
            input, or a context where there is none, changes shapes or state, adds losses, or reads variables that are
            not its weights.
        NotImplementedError: for second-order gradients.

    Layers are built by a symbolic call, as in a functional model, so they may make their sublayers' weights at the
    first call. A layer that several branches share is one layer in configs, clones and files. One that a branch shares
    with the model around is one in files; `clone_model`, which clones layer by layer, makes two of it.

    Example:
        >>> from reformer_tf.layers import ChunkedFeedForward, LSHSelfAttention, ResidualBranch
        >>> attention = lambda: ResidualBranch(LSHSelfAttention(num_heads=2, key_dim=8, causal=True))
        >>> feed_forward = lambda: ResidualBranch(ChunkedFeedForward(64))
        >>> stack = ReversibleStack([(attention(), feed_forward()) for _ in range(2)])
        >>> stack(np.ones((1, 10, 16))).shape
        TensorShape([1, 10, 16])
    """

    rank = 3
    fixed = frozenset({"branches"})

    def __init__(
        self,
        blocks: Sequence[Sequence[keras.layers.Layer]],
        reversible: bool = True,
        combine_streams: str = "mean",
        seed: int | None = None,
        **kwargs: Any,
    ):
        # No autocast: streams keep their precision, and branches cast by their own policies.
        super().__init__(**{"autocast": False, **kwargs})
        for block in blocks:
            if not isinstance(block, list | tuple) or len(block) < 2:
                raise ValueError(f"blocks must be pairs (F, G) of layers, or longer sequences. Received: {block!r}")
        # A tuple, because TensorFlow's checkpoints leave out layers in lists, and Keras does not notice when one is
        # replaced.
        self.branches: tuple[keras.layers.Layer, ...] = tuple(layer for block in blocks for layer in block)
        self.block_sizes = tuple(map(len, blocks))
        if not self.branches:
            raise ValueError("blocks must hold at least one pair (F, G) of layers. Received: none")
        self.reversible = arguments.boolean("reversible", reversible)
        self.combine_streams = arguments.choice("combine_streams", combine_streams, COMBINATIONS)
        self.seed = None if seed is None else arguments.integer("seed", seed)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def check_inputs(self, inputs: Any) -> None:
        streams = inputs if isinstance(inputs, list | tuple) else [inputs]
        if len(streams) not in (1, 2):
            raise ValueError(f"inputs must be one tensor or a pair of streams. Received: {len(streams)} inputs")
        for stream in streams:
            super().check_inputs(stream)
        if not tf.TensorShape(streams[0].shape).is_compatible_with(streams[-1].shape):
            raise ValueError(
                f"inputs must be streams of one shape. Received: shapes {streams[0].shape} and {streams[-1].shape}"
            )

    def build(self, inputs_shape: Any, context_shape: tuple[int | None, ...] | None = None) -> None:
        input_shape = tuple(inputs_shape[0] if isinstance(inputs_shape[0], list | tuple) else inputs_shape)
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                "inputs of a reversible stack must be [batch, length, width] with a known width."
                f" Received: input_shape={input_shape}"
            )
        dtype = shapes.statistics_dtype(self.compute_dtype).name
        stream = keras.KerasTensor(input_shape, dtype)
        context = None if context_shape is None else keras.KerasTensor(tuple(context_shape), dtype)
        for branch in {id(branch): branch for branch in self.branches}.values():
            branch_calls.build(branch, stream, context)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
        context: tf.Tensor | None = None,
        context_mask: tf.Tensor | None = None,
    ) -> Any:
        paired = isinstance(inputs, list | tuple)
        first, second = (tf.convert_to_tensor(x) for x in (inputs if paired else (inputs, inputs)))
        if isinstance(mask, list | tuple):
            mask = mask[0]
        if training:
            if seed is None:
                seed = tf.cast(self.seed_generator.next(), tf.int32)
            seed = seeds.with_row_offset(seed, shapes.sizes(first)[0])
        if context is not None:
            arguments.vectors("context", context, rank=3)
            context = tf.convert_to_tensor(context)
        elif context_mask is not None:
            raise ValueError("context_mask must be left out without a context. Received: context=None")
        options = {
            "mask": mask,
            "segment_ids": segment_ids,
            "context": context,
            "context_mask": context_mask,
            "seed": seed,
            "training": training,
        }
        streams = [first, second] if paired else [first]
        results = (self._run_reversibly if self.reversible else self._run_plainly)(streams, options)
        return results if paired else results[0]

    @property
    def _concatenates(self) -> bool:
        return self.combine_streams == "concatenate"

    def _run_plainly(self, streams: list[tf.Tensor], options: dict[str, Any]) -> list[tf.Tensor]:
        x = [tf.cast(x, shapes.statistics_dtype(x.dtype)) for x in (streams[0], streams[-1])]
        for index, branch in enumerate(self.branches):
            target = index % 2
            x[target] += tf.cast(branch_calls.call(branch, x[1 - target], options), x[target].dtype)
        return x if len(streams) == 2 else [self.combine(*x)]

    def combine(self, x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
        """Combines the last streams to the output for a single input."""
        return tf.concat([x1, x2], axis=-1) if self._concatenates else (x1 + x2) / 2

    def _run_reversibly(self, streams: list[tf.Tensor], options: dict[str, Any]) -> list[tf.Tensor]:
        context = options.pop("context")
        rows = {"mask": streams[0], "segment_ids": streams[0], "context_mask": context}
        for name, tokens in rows.items():
            if options[name] is not None:
                dtype = tf.int32 if name == "segment_ids" else tf.bool
                options[name] = arguments.per_token(name, options[name], dtype, tokens)
        batch, length, width = shapes.sizes(streams[0])
        return reversible_residual(
            streams,
            # Weights are explicit inputs, because TensorFlow passes the variables that a function used to its gradient
            # in no defined order. They are read here, so that values are those of this replica, or of a scope around.
            repeated_blocks.runs(self.branches, options, self.block_sizes),
            options["seed"],
            SequenceSlices(batch, length, self._most_tokens(width)),
            shapes.statistics_dtype(streams[0].dtype),
            "pair" if len(streams) == 2 else self.combine_streams,
            bool(options["training"]),
            None if context is None else self._sliced(context),
        )

    def _sliced(self, context: tf.Tensor) -> Context:
        batch, length, width = shapes.sizes(context)
        slices = SequenceSlices(batch, length, self._most_tokens(width))
        return Context(slices, slices.prepared(context))

    def _most_tokens(self, width: int) -> int:
        """The most tokens that a slice of the streams may have."""
        widths = [row_chunks.rows_in_budget(4 * width)]
        for branch in self.branches:
            if isinstance(branch, ResidualBranch) and isinstance(branch.layer, ChunkedFeedForward):
                widths.append(branch.layer.rows)
        # Slices are not as small as the chunks of feed-forward layers may be.
        return max(min(widths), budgets.current().least_slice_tokens)

    def compute_output_spec(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        def spec(x: keras.KerasTensor, shape: tuple[int | None, ...]) -> keras.KerasTensor:
            return keras.KerasTensor(shape, shapes.statistics_dtype(x.dtype).name)

        if isinstance(inputs, list | tuple):
            return [spec(x, x.shape) for x in inputs]
        return spec(inputs, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, inputs_shape: Any, context_shape: Any = None) -> Any:
        if isinstance(inputs_shape[0], list | tuple) or not self._concatenates:
            return inputs_shape
        return (*inputs_shape[:-1], 2 * inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        layers = iter(sharing.serialize(self.branches))
        return {
            **super().get_config(),
            "blocks": [list(itertools.islice(layers, size)) for size in self.block_sizes],
            "reversible": self.reversible,
            "combine_streams": self.combine_streams,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ReversibleStack":
        layers = iter(sharing.deserialize([layer for block in config["blocks"] for layer in block]))
        return cls(**{**config, "blocks": [list(itertools.islice(layers, len(block))) for block in config["blocks"]]})

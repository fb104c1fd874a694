"""Base classes of the branches of a reversible stack."""

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import AutocastScope  # Keras has no public name for it.

from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.ops import dropout, shapes, sums
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Gradients, Streams


class LayerBranch:
    """A Keras layer `[B, L, M]` to `[B, L, M]` as a branch, see `reformer_tf.ops.reversible.branch.Branch`.

    Args:
        layer: built.
        options: the call arguments `mask`, `segment_ids`, `context_mask`, `seed` and `training`.
        integers: Python integers by which equal layers differ, such as their seeds; `own_integers` gives them back.
    """

    def __init__(self, layer: keras.layers.Layer, options: dict[str, Any], integers: Sequence[int] = ()):
        self.layer = layer
        self.options = options
        self._trainable = layer.trainable_weights
        self._fixed = layer.non_trainable_weights
        known = {id(v) for v in layer.weights}
        # States of random generators and metrics. A layer that reads one also changes it, which is refused; so zeros
        # stand for their values, and traced graphs hold no variables that a SavedModel does not track.
        states = [*layer.variables, *layer.metrics_variables]
        self._others = [(v, tf.zeros(v.shape, v.dtype)) for v in states if id(v) not in known]
        # In their own dtypes: an autocast scope around would round them before layers that compute in full precision.
        with AutocastScope(None):
            self.weights: Sequence[tf.Tensor] = [tf.convert_to_tensor(v.value) for v in self._trainable]
            fixed = [_without_gradient(v.value) for v in self._fixed]
        # The bits of an unsigned integer, as the functions of seeds take them.
        bits = [tf.constant((i + 2**31) % 2**32 - 2**31, tf.int32) for i in integers]
        self.constants: Sequence[tf.Tensor] = [*fixed, *bits]

    @property
    def kind(self) -> Hashable:
        """A key, equal for layers that are the same function of weights and constants; None if that is not known."""
        return None

    def signature(self) -> Hashable:
        """The names, shapes and dtypes of the weights, those that are trained and those that are not."""
        return tuple(
            tuple((v.name, tuple(v.shape), v.dtype) for v in group) for group in (self._trainable, self._fixed)
        )

    def hashes(self, slices: SequenceSlices) -> bool:
        return False

    def buckets_shape(self, slices: SequenceSlices) -> Sequence[int | None]:
        raise NotImplementedError

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        raise NotImplementedError

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Gradients,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, Gradients, list[tf.Tensor]]:
        raise NotImplementedError

    def own_integers(self, branch_inputs: BranchInputs) -> list[tf.Tensor]:
        """The integers, int32, of the layer of this scan step."""
        return list(branch_inputs.constants[len(self._fixed) :])

    @contextlib.contextmanager
    def weight_scope(self, branch_inputs: BranchInputs) -> Iterator[None]:
        """Gives the layer's variables the values of this scan step inside."""
        values = [
            *zip(self._trainable, branch_inputs.weights, strict=True),
            *zip(self._fixed, branch_inputs.constants, strict=False),
        ]
        mapping = [*values, *self._others]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            before = [scope.get_current_value(v) for v, _ in mapping]
            yield
            changed = [
                v.path for (v, _), old in zip(mapping, before, strict=True) if scope.get_current_value(v) is not old
            ]
        if changed:
            raise ValueError(
                "A branch of a reversible stack must not change state, because it is computed again in the"
                " backward pass: use LayerNormalization for BatchNormalization and ResidualBranch(dropout=...) for"
                f" Dropout, or reversible=False. Received: {self.layer.name}, which assigns {changed}"
            )
        if scope.losses:
            raise ValueError(
                "A branch of a reversible stack must not add losses in a call (add_loss, activity_regularizer), since"
                " only its output leaves the custom gradient: regularize weights, or set reversible=False."
                f" Received: {self.layer.name}, which adds {len(scope.losses)}"
            )

    def sums(self, weights: Sequence[tf.Tensor]) -> "Sums":
        return Sums(self.layer, weights)


class Residual(LayerBranch):
    """A `ResidualBranch`: normalisation, a sublayer that subclasses know, dropout. Arguments as `LayerBranch`."""

    layer: ResidualBranch

    def __init__(self, layer: ResidualBranch, options: dict[str, Any], integers: Sequence[int] = ()):
        super().__init__(layer, options, [layer.dropout.seed, *integers])
        self.training = bool(options["training"])

    @property
    def kind(self) -> Hashable:
        sublayer = self.sublayer_kind()
        if sublayer is None:
            return None
        layer = self.layer
        parts = (layer, layer.layer, layer.normalization, layer.dropout)
        # Not the names of policies: a map of policies has one name for all.
        dtypes = [(x.compute_dtype, x.variable_dtype) for x in parts]
        return sublayer, layer.normalization.epsilon, layer.dropout.rate, *dtypes, self.signature()

    def sublayer_kind(self) -> Hashable:
        """Like `kind`, for the sublayer without its weights and dtype."""
        raise NotImplementedError

    def dropped(self, update: tf.Tensor, branch_inputs: BranchInputs, start: tf.Tensor) -> tf.Tensor:
        """Applies dropout to the update of a slice that begins at position `start`."""
        update = tf.cast(update, self.layer.dropout.compute_dtype)
        if not self.training or branch_inputs.seed is None:
            return update
        return dropout.dropout(
            update, self.layer.dropout.rate, branch_inputs.seed, self.own_integers(branch_inputs)[0], start
        )


class Sums:
    """Sums the gradients of weights over slices in at least float32, and notes which weights have a gradient."""

    def __init__(self, layer: keras.layers.Layer, weights: Sequence[tf.Tensor]):
        self.layer = layer
        self.weights = weights
        self.met = [False] * len(weights)

    def zeros(self) -> list[tf.Tensor]:
        return [sums.wide(tf.zeros_like(w)) for w in self.weights]

    def add(self, totals: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor | None]) -> list[tf.Tensor]:
        self.met = [met or gradient is not None for met, gradient in zip(self.met, gradients, strict=True)]
        return [
            t if gradient is None else t + tf.cast(gradient, t.dtype)
            for t, gradient in zip(totals, gradients, strict=True)
        ]

    def checked(self, totals: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        for position, met in enumerate(self.met):
            if not met:
                raise ValueError(
                    "Every trainable weight of a branch must enter its output (freeze it otherwise)."
                    f" Received: branch {self.layer.name}, whose weight {position} does not"
                )
        return [tf.cast(total, w.dtype) for total, w in zip(totals, self.weights, strict=True)]


def changed(stream: SliceArray, index: shapes.Size, change: Callable[..., tf.Tensor], by: tf.Tensor) -> SliceArray:
    """Replaces a slice of a stream by `change(slice, by)`."""
    before = stream.read(index)
    after = change(before, tf.cast(by, before.dtype))
    # Loop variables must keep their static shapes.
    return stream.write(index, tf.ensure_shape(after, before.shape))


def changed_everywhere(
    slices: SequenceSlices, stream: SliceArray, change: Callable[..., tf.Tensor], by: tf.Tensor
) -> SliceArray:
    """Replaces all slices of a stream by `change(stream, by)`, with `by` `[B, L, M]`."""
    padded = slices.prepared(by)

    def body(index: shapes.Size, state: list) -> list:
        return [changed(state[0], index, change, slices.take(padded, index))]

    return slices.sweep(body, [stream])[0]


def _without_gradient(weight: Any) -> tf.Tensor:
    """The value of a frozen weight; Keras freezes a variable without telling TensorFlow, whose tapes watch it."""
    tensor = tf.convert_to_tensor(weight)
    return tf.stop_gradient(tensor) if getattr(weight, "trainable", False) else tensor

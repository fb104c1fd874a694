"""A function of layers that is traced into a graph once for all equal layers."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.reversible import repeated_blocks
from reformer_tf.layers.reversible.layer_branch import LayerBranch
from reformer_tf.ops.reversible.branch import BranchInputs

_INFERENCE = {"mask": None, "segment_ids": None, "seed": None, "training": False}


class TracedLayers:
    """A function that is called for one layer after another, in inference, and traced once for each kind of layer.

    An instance is for one graph, whose tensors the function may use. Layers of unknown kind are traced one by one.

    Args:
        function: takes a layer, F or G of a residual block, and nests of tensors.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._traced: dict[Hashable, Any] = {}

    def __call__(self, layer: keras.layers.Layer, *inputs: Any) -> Any:
        """Calls the function for a layer."""
        branch = repeated_blocks.make_branch(layer, _INFERENCE)
        kind = branch.kind
        if kind is None:
            return self._function(layer, *inputs)
        if kind not in self._traced:
            self._traced[kind] = self._trace(branch)
        return self._traced[kind](branch.weights, branch.constants, *inputs)

    def _trace(self, first: LayerBranch) -> Any:
        """Traces the function for all layers that differ from the first only in weights and constants."""

        @tf.function(autograph=False)
        def traced(weights: Sequence[tf.Tensor], constants: Sequence[tf.Tensor], *inputs: Any) -> Any:
            with first.weight_scope(BranchInputs(weights, constants, None)):
                return self._function(first.layer, *inputs)

        return traced

"""A function of branches that is in a graph once, however many equal branches there are."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.reversible import repeated_blocks
from reformer_tf.layers.reversible.layer_branch import LayerBranch
from reformer_tf.ops.reversible.branch import BranchInputs

_INFERENCE = {"mask": None, "segment_ids": None, "seed": None, "training": False}


class TracedLayers:
    """A function that is called for one layer after another, in inference, and traced once for each kind of them.

    To be used within one graph, of which the function may use tensors. Layers of which it is not known what they
    compute are traced each.

    Args:
        function: of a layer, F or G of a residual block, and nests of tensors.
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
        """The function for all layers that equal the first but for weights and constants."""

        @tf.function(autograph=False)
        def traced(weights: Sequence[tf.Tensor], constants: Sequence[tf.Tensor], *inputs: Any) -> Any:
            with first.weight_scope(BranchInputs(weights, constants, None)):
                return self._function(first.layer, *inputs)

        return traced

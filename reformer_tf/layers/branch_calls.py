"""Builds and calls a user's layer as a residual branch, in the way that a functional model would."""

import inspect
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments


class BranchError(ValueError):
    """Raised for a layer that cannot be a branch. The message names the layer, so containers raise it unchanged."""


class _Caller(keras.layers.Layer):
    """Calls a layer with the options that it takes, and passes all options on to its sublayers.

    Keras passes `training`, `segment_ids` and `seed` on to sublayers during the call of a layer that got them. A
    gradient recomputes a branch after the stack's own call has ended, so it makes such a call itself.
    """

    def __init__(self) -> None:
        super().__init__(autocast=False, dtype="float32", name="branch")
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def call(
        self,
        inputs: Any,
        layer: keras.layers.Layer,
        mask: Any = None,
        segment_ids: Any = None,
        context: Any = None,
        context_mask: Any = None,
        seed: Any = None,
        training: bool | None = None,
    ) -> Any:
        options = {
            "mask": mask,
            "segment_ids": segment_ids,
            "context": context,
            "context_mask": context_mask,
            "seed": seed,
            "training": training,
        }
        return layer(inputs, **arguments.accepted(layer, options))


def build(
    layer: keras.layers.Layer, inputs: keras.KerasTensor, context: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Builds a layer, with all sublayers that it makes or builds at its first call, and checks what it returns.

    Args:
        layer: any Keras layer.
        inputs: a symbolic input, for instance `[None, None, M]`.
        context: a symbolic context, for layers that attend to one; or None.

    Returns:
        The layer's output, which has the shape of `inputs`.

    Raises:
        ValueError: if the layer needs more than one input, or a context where there is none, or does not keep its
            shape.
    """
    nodes = len(layer._inbound_nodes)
    _check_context(layer, context)
    options = {} if context is None else arguments.accepted(layer, {"context": context})
    try:
        output = layer(inputs, **options, **_required(layer, inputs))
        if any(not sublayer.built for sublayer in layer._flatten_layers(include_self=False)):
            # The layer has a `compute_output_shape`, so Keras did not run `call`, which builds the other sublayers.
            output = _Caller()(inputs, layer=layer, **options, **_required(layer, inputs))
    except BranchError:
        raise
    except Exception as error:
        raise BranchError(
            "A residual branch must be a layer that can be called on one tensor [batch, length, width]; a layer that"
            " needs more, such as the `value` of MultiHeadAttention, goes into a layer whose `call(x)` gives it."
            f" Received: {_named(layer)}, which cannot be built on {tuple(inputs.shape)}: {error}"
        ) from error
    # This call belongs to no model; a model that shares the layer must count only its own calls.
    del layer._inbound_nodes[nodes:]
    _check(layer, inputs, output)
    return output


def takes_context(layer: keras.layers.Layer) -> bool:
    """Whether a layer has the call argument `context`."""
    return "context" in inspect.signature(layer.call).parameters


def _check_context(layer: keras.layers.Layer, context: Any) -> None:
    if context is None and arguments.accepted(layer, {"context": True}, required=True):
        raise no_context(layer)


def no_context(layer: keras.layers.Layer) -> BranchError:
    """The error that a layer which attends to a context gets none."""
    return BranchError(
        "context must be passed where a branch attends to it, as cross-attention does."
        f" Received: context=None for {_named(layer)}"
    )


def _required(layer: keras.layers.Layer, inputs: keras.KerasTensor) -> dict[str, Any]:
    """Symbolic values for the call arguments that have no default."""
    tokens = inputs.shape[:2]
    options = {
        "mask": keras.KerasTensor(tokens, "bool"),
        "segment_ids": keras.KerasTensor(tokens, "int32"),
        "seed": keras.KerasTensor((3,), "int32"),
        "training": False,
    }
    return arguments.accepted(layer, options, required=True)


_caller = _Caller()


def call(layer: keras.layers.Layer, inputs: tf.Tensor, options: dict[str, Any]) -> tf.Tensor:
    """Calls a layer on `[B, L, M]`.

    Args:
        layer: built.
        inputs: `[B, L, M]`.
        options: the call arguments `mask`, `segment_ids`, `context`, `context_mask`, `seed` and `training`; the layer
            gets those that it takes.

    Raises:
        ValueError: if it does not keep the shape, as far as that is known when it is traced; else the graph raises.
    """
    _check_context(layer, options.get("context"))
    output = _caller(inputs, layer=layer, **options)
    _check(layer, inputs, output)
    if not output.shape.is_fully_defined():
        rule = f"A residual branch must keep the shape of its input. Received: {_named(layer)}, which does not."
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(output), tf.shape(inputs), message=rule)]):
            output = tf.identity(output)
    return tf.ensure_shape(output, inputs.shape)


def _check(layer: keras.layers.Layer, inputs: Any, output: Any) -> None:
    shape = tuple(inputs.shape)
    returned = keras.tree.map_structure(lambda x: getattr(x, "shape", x), output)
    if hasattr(output, "shape"):
        returned = tuple(output.shape)
        fits = len(returned) == len(shape) and returned[-1] == shape[-1]
        # A size may be unknown in one of the two shapes.
        if fits and all(None in pair or pair[0] == pair[1] for pair in zip(shape, returned, strict=True)):
            if tf.as_dtype(output.dtype).is_floating:
                return
            returned = f"{returned} of dtype {tf.as_dtype(output.dtype).name}"
    raise BranchError(
        "A residual branch must keep the shape of its input, and return one floating tensor."
        f" Received: {_named(layer)}, which maps {shape} to {returned}"
    )


def _named(layer: keras.layers.Layer) -> str:
    return f"{layer.name} ({type(layer).__name__})"

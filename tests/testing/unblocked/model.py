"""A reference for the loss of a causal language model and its gradient, without blocks, chunks or reversible layers.

Attention is `tests.testing.unblocked.layer`; feed-forward layers, head and loss are computed at once. The gradient goes
back branch by branch by the chain rule, from the saved input of each branch and without reconstruction.

Shape letters: B batch, L sequence length, M width.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.layers import LSHSelfAttention
from reformer_tf.models import ReformerCausalLM
from tests.testing.unblocked import layer as reference_layer

_Stage = tuple[Sequence[keras.Variable], Callable[..., tf.Tensor]]
_WRITTEN_HERE = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation": "gelu",
    "gated": False,
    "combine_streams": "mean",
    "positions": "axial",
    "attention_options": None,
}


def loss_and_gradients(
    model: ReformerCausalLM, ids: np.ndarray, buckets: Sequence[np.ndarray], dtype: str = "float32"
) -> tuple[float, list[tf.Tensor]]:
    """Computes the mean loss of sequences and its gradient.

    Args:
        model: of local and LSH layers, with the options of `_WRITTEN_HERE`.
        ids: integers `[B, L + 1]`.
        buckets: integers `[B, H, R, L]` for each LSH layer.
        dtype: of all computations.

    Returns:
        The loss in nats, and the gradient of each of `model.trainable_variables`.

    Raises:
        ValueError: for a model with other options.
    """
    wrong = {name: model.backbone.config[name] for name in _WRITTEN_HERE}
    wrong = {name: value for name, value in wrong.items() if value != _WRITTEN_HERE[name]}
    if wrong:
        raise ValueError(f"model must have the options {_WRITTEN_HERE}. Received: {wrong}")
    inputs, targets = tf.constant(ids[:, :-1], tf.int32), tf.constant(ids[:, 1:], tf.int32)
    bottom, branches, top = _embedding(model, inputs), _branches(model, buckets, *inputs.shape), _loss(model, targets)

    streams = [bottom[1](*_values(bottom, dtype))] * 2
    saved = []
    for index, branch in enumerate(branches):
        target, source = index % 2, 1 - index % 2
        saved.append(streams[source])
        streams[target] = streams[target] + branch[1](streams[source], *_values(branch, dtype))

    totals: dict[int, tf.Tensor] = {}
    loss, gradients = _back(top, streams, None, dtype, totals)
    for index in reversed(range(len(branches))):
        target, source = index % 2, 1 - index % 2
        _, (gradient,) = _back(branches[index], [saved.pop()], gradients[target], dtype, totals)
        gradients[source] += gradient
    _back(bottom, [], gradients[0] + gradients[1], dtype, totals)
    return float(loss), [totals[id(variable)] for variable in model.trainable_variables]


def _values(stage: _Stage, dtype: str) -> list[tf.Tensor]:
    return [tf.cast(variable.value, dtype) for variable in stage[0]]


def _back(
    stage: _Stage, inputs: list[tf.Tensor], upstream: tf.Tensor | None, dtype: str, totals: dict[int, tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Output of a stage and gradients of its inputs; gradients of its variables are added to `totals`, by their ids."""
    values = _values(stage, dtype)
    with tf.GradientTape() as tape:
        tape.watch([*inputs, *values])
        output = stage[1](*inputs, *values)
    gradients = tape.gradient(output, [*inputs, *values], output_gradients=upstream)
    for variable, gradient in zip(stage[0], gradients[len(inputs) :], strict=True):
        total = totals.get(id(variable))
        gradient = tf.convert_to_tensor(gradient)
        totals[id(variable)] = gradient if total is None else total + gradient
    return output, gradients[: len(inputs)]


def _embedding(model: ReformerCausalLM, ids: tf.Tensor) -> _Stage:
    layer, positions = model.backbone.token_embedding, model.backbone.get_layer("position_embedding")
    scale = layer.hidden_dim**0.5 if layer.scale is None else layer.scale
    coordinates = np.unravel_index(np.arange(ids.shape[1]), positions.axial_shape)

    def embed(embeddings: tf.Tensor, *tables: tf.Tensor) -> tf.Tensor:
        axes = [tf.gather(table, coordinate) for table, coordinate in zip(tables, coordinates, strict=True)]
        return tf.gather(embeddings, ids) * tf.constant(scale, embeddings.dtype) + tf.concat(axes, axis=-1)

    return [layer.embeddings, *positions.tables], embed


def _branches(model: ReformerCausalLM, buckets: Sequence[np.ndarray], batch: int, length: int) -> list[_Stage]:
    """The stages of the branches, attention and feed-forward alternating."""
    stages: list[_Stage] = []
    remaining = list(buckets)
    for index, branch in enumerate(model.backbone.get_layer("stack").branches):
        layer, variables = branch.layer, [branch.normalization.gamma, branch.normalization.beta]
        variables += layer.trainable_variables
        if index % 2:
            stages.append((variables, _feed_forward(branch.epsilon)))
        else:
            own = remaining.pop(0) if isinstance(layer, LSHSelfAttention) else None
            stages.append((variables, _attention(branch.epsilon, layer, own, batch, length)))
    if remaining:
        raise ValueError(f"buckets must be one array for each LSH layer. Received: {len(buckets)} arrays")
    return stages


def _attention(
    epsilon: float, layer: Any, buckets: np.ndarray | None, batch: int, length: int
) -> Callable[..., tf.Tensor]:
    def run(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *kernels: tf.Tensor) -> tf.Tensor:
        # Listed again at each call: the entries of all layers together would take more memory than everything else.
        heads = reference_layer.entries(layer, buckets, batch, length)
        return reference_layer.attention(_normalize(x, gamma, beta, epsilon), kernels, heads, layer.rotary)

    return run


def _feed_forward(epsilon: float) -> Callable[..., tf.Tensor]:
    def run(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        kernel, bias, outer_kernel, outer_bias = weights
        inner = tf.nn.gelu(_normalize(x, gamma, beta, epsilon) @ kernel + bias, approximate=False)
        return inner @ outer_kernel + outer_bias

    return run


def _loss(model: ReformerCausalLM, targets: tf.Tensor) -> _Stage:
    norm, head = model.backbone.get_layer("final_norm"), model.head
    kernel = head.kernel if head.embedding is None else head.embedding.embeddings
    biases = [] if head.bias is None else [head.bias]

    def loss(
        x1: tf.Tensor, x2: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, kernel: tf.Tensor, *biases: tf.Tensor
    ) -> tf.Tensor:
        hidden = _normalize((x1 + x2) / 2, gamma, beta, norm.epsilon)
        logits = tf.einsum("blm,mv->blv" if head.embedding is None else "blm,vm->blv", hidden, kernel)
        for bias in biases:
            logits += bias
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))

    return [norm.gamma, norm.beta, kernel, *biases], loss


def _normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
    return centred / tf.sqrt(variance + tf.constant(epsilon, x.dtype)) * gamma + beta

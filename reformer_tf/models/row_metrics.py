"""Updates Keras metrics a few rows at a time, for models that train without a loss in `compile`.

Keras passes a metric all outputs of a batch at once. With one number for each token and each id of the vocabulary, that
would be the largest tensor of the complete step.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


class Rows(NamedTuple):
    """The targets of one output of a model, T of them.

    Attributes:
        vectors: `[T, ...]`, from which the scores are computed.
        scores: maps some of the vectors to scores, `[n, classes]`.
        targets: int32 `[T]`, in range wherever they count.
        counted: boolean `[T]`, whether each target counts.
        weights: `[T]`, the user's weights where targets count, and zero elsewhere.
        chunk: how many targets are scored at a time.
    """

    vectors: tf.Tensor
    scores: Callable[[tf.Tensor], tf.Tensor]
    targets: tf.Tensor
    counted: tf.Tensor
    weights: tf.Tensor
    chunk: int


def build(metrics: Any, classes: dict[str, int | None] | int | None) -> None:
    """Makes the metrics that `compile` got, as Keras does at the first batch.

    Args:
        metrics: Keras' `CompileMetrics`.
        classes: how many scores a row has, by output, None where that differs from batch to batch; or the number itself
            if there is only one output.

    Raises:
        ValueError: for metrics that cannot be updated with weighted rows.
    """
    if isinstance(classes, dict):
        targets = {name: keras.KerasTensor((None,), "int32") for name in classes}
        scores = {name: keras.KerasTensor((None, number), "float32") for name, number in classes.items()}
        metrics.build(targets, scores)
    else:
        metrics.build(keras.KerasTensor((None,), "int32"), keras.KerasTensor((None, classes), "float32"))
    numbers = [classes[name] for name in sorted(classes)] if isinstance(classes, dict) else [classes]
    for (plain, weighted), number in zip(_by_output(metrics), numbers, strict=True):
        for metric in (*plain, *weighted):
            problem = _problem(metric, number)
            if problem:
                raise ValueError(
                    "metrics and weighted_metrics must hold metrics whose update_state takes sample_weight, so that"
                    " what does not count is left out, targets [n] and scores [n, classes], and metric functions that"
                    f" return one number for each target. Received: {metric.name!r} of type {type(metric).__name__}"
                    f" ({problem})"
                )


def update(metrics: Any, outputs: Sequence[Rows], holds: tf.Tensor) -> None:
    """Updates metrics by a batch.

    Args:
        metrics: Keras' `CompileMetrics`.
        outputs: one for each output of the model, sorted by its name.
        holds: boolean scalar; if False the metrics stay as they are.
    """
    for (plain, weighted), rows in zip(_by_output(metrics), outputs, strict=True):
        counted = tf.cast(rows.counted, rows.weights.dtype)
        pairs = [*((metric, counted) for metric in plain), *((metric, rows.weights) for metric in weighted)]
        if pairs:
            _update(pairs, rows, holds)


def _by_output(metrics: Any) -> list[tuple[list[keras.metrics.Metric], list[keras.metrics.Metric]]]:
    """`metrics` and `weighted_metrics` of each output. Keras' own update would give the former no weights at all."""
    plain, weighted = (
        [list(group.metrics) if group else [] for group in groups]
        for groups in (metrics._flat_metrics, metrics._flat_weighted_metrics)
    )
    return list(zip(plain, weighted, strict=True))


def _problem(metric: keras.metrics.Metric, classes: int | None) -> str | None:
    """The reason why a metric cannot be updated with weighted rows of `classes` scores each; None if it can."""
    # Sizes that do not broadcast, so that a metric which mixes up axes fails.
    row, scores = tf.TensorSpec([7], tf.int32), tf.TensorSpec([7, classes or 5], tf.float32)

    def update(targets: tf.Tensor, scores: tf.Tensor, weights: tf.Tensor) -> Any:
        variables = [tf.zeros(v.shape, v.dtype) for v in metric.variables]
        return metric.stateless_update_state(variables, targets, scores, sample_weight=weights)

    def function(targets: tf.Tensor, scores: tf.Tensor) -> Any:
        return metric._fn(targets, scores, **metric._fn_kwargs)

    try:
        tf.function(update, autograph=False).get_concrete_function(row, scores, tf.TensorSpec([7], tf.float32))
    except Exception as error:  # Whatever a metric raises.
        return str(error).splitlines()[0]
    if isinstance(metric, keras.metrics.MeanMetricWrapper):
        # A metric function that takes the mean itself would include rows that do not count.
        values = tf.function(function, autograph=False).get_concrete_function(row, scores)
        if values.structured_outputs.shape.rank == 0:
            return "one number for all targets"
    return None


def _update(pairs: Sequence[tuple[keras.metrics.Metric, tf.Tensor]], rows: Rows, holds: tf.Tensor) -> None:
    """Updates metrics, each with its weights `[T]`."""
    slices = SequenceSlices(1, shapes.sizes(rows.targets)[0], rows.chunk)
    vectors, targets = (slices.prepared(x[None]) for x in (rows.vectors, rows.targets))
    # The padding of the last chunk has zero weight.
    weights = [slices.prepared(x[None]) for _, x in pairs]

    def body(index: shapes.Size, state: list) -> list:
        scores, labels = rows.scores(slices.take(vectors, index)[0]), slices.take(targets, index)[0]
        return [
            metric.stateless_update_state(values, labels, scores, sample_weight=slices.take(weight, index)[0])
            for (metric, _), weight, values in zip(pairs, weights, state, strict=True)
        ]

    before = [[tf.convert_to_tensor(v) for v in metric.variables] for metric, _ in pairs]
    after = slices.sweep(body, before)
    for (metric, _), old, new in zip(pairs, before, after, strict=True):
        for variable, was, becomes in zip(metric.variables, old, new, strict=True):
            variable.assign(tf.where(holds, becomes, was))

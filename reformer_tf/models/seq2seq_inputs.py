"""The inputs of a model that maps one sequence to another: ids of sources and targets, and their masks.

Shape letters: B rows, S length of the sources, L length of the targets.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.layers import arguments

IDS = ("source", "target")
INPUTS = (*IDS, *(f"{name}_mask" for name in IDS))


def by_name(inputs: Any) -> dict[str, Any]:
    """Checks the inputs of a model.

    Args:
        inputs: a dict of `"source"`, integers `[B, S]`, `"target"`, integers `[B, L]`, and optionally `"source_mask"`
            and `"target_mask"`.

    Raises:
        ValueError: if it is something else.
    """
    named = inputs if isinstance(inputs, dict) else {}
    if not {*IDS} <= {*named} <= {*INPUTS}:
        received = sorted(named) if isinstance(inputs, dict) else type(inputs).__name__
        rule = 'x must be a dict of "source" and "target", and optionally "source_mask" and "target_mask".'
        raise ValueError(f"{rule} Received: {received}")
    for name, value in named.items():
        arguments.dense(name, value)
    for name in IDS:
        arguments.token_ids(name, named[name])
    return named


def tensors(inputs: Any, masks: Any = None) -> dict[str, Any]:
    """Returns all inputs of a model as tensors, masks as booleans or None.

    Args:
        inputs: as `by_name` takes them.
        masks: Keras' implicit masks of the inputs, by name; those in the inputs take precedence.

    Raises:
        ValueError: if they do not fit each other.
    """
    named = by_name(inputs)
    implicit = masks if isinstance(masks, dict) else {}
    found: dict[str, Any] = {name: tf.convert_to_tensor(named[name]) for name in IDS}
    rows = [found[name].shape[0] for name in IDS]
    if None not in rows and rows[0] != rows[1]:
        raise ValueError(f"source and target must have the same number of rows. Received: {rows[0]} and {rows[1]}")
    for name in IDS:
        key = f"{name}_mask"
        mask = named.get(key) if named.get(key) is not None else implicit.get(name)
        if mask is not None:
            # To learn the shapes of a distributed batch, Keras takes its mean over replicas, which makes floats of
            # integers.
            mask = arguments.per_token(key, tf.cast(mask, tf.bool), tf.bool, found[name])
        found[key] = mask
    return found

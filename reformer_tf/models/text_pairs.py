"""Pairs of sequences for a classifier: both go through one encoder, and the head compares their vectors.

Row 2i of the encoder's batch is the first sequence of pair i and row 2i + 1 the second one. So both have dropout of
their own, which is that of the pair's index in the global batch, however the batch is divided among replicas.

Shape letters: B pairs, L length, M width of a vector.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.ops import id_ranges, shapes

INPUTS = ("ids", "mask", "pair_ids", "pair_mask")


def by_name(inputs: Any) -> dict[str, Any]:
    """Returns the inputs of a model of pairs.

    Args:
        inputs: a dict of `"ids"` and `"pair_ids"`, integers `[B, L]`, and optionally `"mask"` and `"pair_mask"`.

    Raises:
        ValueError: if it is something else.
    """
    named = inputs if isinstance(inputs, dict) else {}
    if not {"ids", "pair_ids"} <= {*named} <= {*INPUTS}:
        received = sorted(named) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(
            'x of a model with pair=True must be a dict of "ids" and "pair_ids", and optionally of "mask" and'
            f' "pair_mask". Received: {received}'
        )
    for name, value in named.items():
        arguments.dense(name, value)
    for name in ("ids", "pair_ids"):
        arguments.token_ids(name, named[name])
    return named


def with_masks(inputs: dict[str, Any], mask: Any, segment_ids: Any) -> dict[str, Any]:
    """Adds Keras' implicit masks, a dict by input, to the inputs; those in the inputs take precedence.

    Raises:
        ValueError: for a mask or segments of one sequence.
    """
    for name, value in (("mask", mask), ("segment_ids", segment_ids)):
        if value is not None and not (name == "mask" and isinstance(value, dict)):
            raise ValueError(f"{name} must be None with pair=True; masks are in x. Received: {name}={value}")
    found = {} if mask is None else {"mask": mask.get("ids"), "pair_mask": mask.get("pair_ids")}
    return {**{name: value for name, value in found.items() if value is not None}, **inputs}


def interleaved(inputs: Any, longest: int) -> dict[str, Any]:
    """Makes one batch of both sequences of each pair, the shorter ones padded.

    Args:
        inputs: as `by_name` takes them.
        longest: the most tokens that a sequence may have.

    Returns:
        `"ids"` `[2B, L]` int32, and `"mask"`, boolean or None if nothing is padded or masked.

    Raises:
        ValueError: as `by_name` does; if a sequence is empty or too long; or for other numbers of rows.
    """
    named = by_name(inputs)
    ids = [id_ranges.int32(named[name]) for name in ("ids", "pair_ids")]
    for name, x in zip(("ids", "pair_ids"), ids, strict=True):
        if x.shape[1] is not None and not 1 <= x.shape[1] <= longest:
            raise ValueError(f"{name} must hold 1 to {longest} tokens a row. Received: shape {x.shape}")
    rows = [x.shape[0] for x in ids]
    if None not in rows and rows[0] != rows[1]:
        raise ValueError(f"pair_ids must have as many rows as ids, {rows[0]}. Received: {rows[1]} rows")
    masks: list[Any] = [None, None]
    has_mask = any(named.get(name) is not None for name in ("mask", "pair_mask"))
    if has_mask or ids[0].shape[1] is None or ids[0].shape[1] != ids[1].shape[1]:
        masks = [_mask(named.get(name), name, x) for name, x in zip(("mask", "pair_mask"), ids, strict=True)]
    return {"ids": interleave(ids), "mask": None if masks[0] is None else interleave(masks)}


def interleave(parts: list[tf.Tensor]) -> tf.Tensor:
    """Makes `[2B, L]` of two `[B, L]`, alternating rows, the shorter ones padded with zeros."""
    rows, lengths = shapes.sizes(parts[0])[0], [shapes.sizes(x)[1] for x in parts]
    # Static where the lengths are, for XLA.
    length = max(lengths) if shapes.known(lengths) else tf.maximum(*lengths)
    padded = [tf.pad(x, [[0, 0], [0, length - size]]) for x, size in zip(parts, lengths, strict=True)]
    return tf.reshape(tf.stack(padded, axis=1), [2 * rows, length])


def compared(vectors: tf.Tensor) -> tf.Tensor:
    """Compares the vectors of the two sequences of each pair: [x1, x2, x1 x2, x1 - x2].

    Args:
        vectors: `[2B, 1, M]`.

    Returns:
        `[B, 1, 4M]`.
    """
    first, second = vectors[0::2], vectors[1::2]
    return tf.concat([first, second, first * second, first - second], axis=-1)


def seed_of_rows(seed: tf.Tensor | None) -> tf.Tensor | None:
    """Turns a seed (base, step, index of the first pair) into that of the encoder's rows; other seeds stay."""
    if seed is None:
        return None
    seed = tf.convert_to_tensor(seed)
    if seed.shape not in ((3,), (4,)) or not seed.dtype.is_integer:
        return seed  # Who takes it, refuses what is no seed.
    return tf.concat([seed[:2], 2 * seed[2:3], seed[3:]], axis=0)


def seed_of_pairs(seed: tf.Tensor | None) -> tf.Tensor | None:
    """Turns the seed of the encoder's rows, (base, step, index of the first row), back into that of the pairs."""
    return None if seed is None else tf.concat([seed[:2], seed[2:3] // 2, seed[3:]], axis=0)


def _mask(mask: Any, name: str, ids: tf.Tensor) -> tf.Tensor:
    # To learn the shapes of a distributed batch, Keras takes its mean over replicas, which turns integers into floats.
    return (
        tf.ones_like(ids, tf.bool) if mask is None else arguments.per_token(name, tf.cast(mask, tf.bool), tf.bool, ids)
    )

"""Reformer checkpoints of Trax, read without Trax."""

import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reformer_tf import local_paths
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.models import ReformerCausalLM, presets
from reformer_tf.pretrained import trax_file, weight_mapping
from reformer_tf.pretrained.rotations import assign_rotations
from reformer_tf.pretrained.weight_mapping import WeightTarget, as_is, heads_first, named

# Indices of the parts of a ReformerLM in the list of its sublayers' weights; the other sublayers have none.
_TOKENS, _POSITIONS, _TRUNK, _NORM, _HEAD = 1, 3, 5, 7, 9
_ENTRIES_A_LAYER = 4  # attention, swap, feed-forward, swap
# A tuple that occurs several times counts each time, so a small file could hold very many parts.
_MOST_PARTS = 1_000_000


def from_trax(
    path: str | os.PathLike[str],
    preset: str | None = None,
    rotations: Mapping[int, np.ndarray] | None = None,
    **arguments: Any,
) -> ReformerCausalLM:
    """Builds a language model with the weights of a Trax `ReformerLM`.

    The file is the pickle, compressed by gzip or not, of a dict whose `"weights"` are nested tuples of arrays, as Trax
    wrote it when the Reformer models were published (`model.pkl`). Trax is not needed. A pickle can run code when it is
    read; this unpickler only makes arrays of numpy. Objects of Trax's own classes (a history of metrics, for instance)
    become empty stand-ins, and any other class or function is refused by name. Files of later releases, with
    `"flat_weights"`, do not say which array belongs to which weight and are refused.

    Trax itself shifts a model's input by one, so that it predicts the first token from id 0. Here the ids must begin
    with that 0.

    The structure was taken from public sources, and tested with files made in the same structure: no published file was
    available when this was written.

    Args:
        path: the file.
        preset: name of a preset that has the model's arguments, such as `"reformer-enwik8"`.
        rotations: by `layer_index`, as in `from_huggingface`.
        **arguments: of `ReformerCausalLM`; they override those of the preset. `layer_norm_epsilon` is 1e-6 by default,
            as in Trax. Positions must be axial.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no such pickle, if it unpacks to more than a checkpoint of its size does (checked
            before it takes the memory), or if its weights are not exactly those of the model; the message names the
            weight.

    Example:
        >>> model = from_trax("model.pkl", preset="reformer-enwik8")  # doctest: +SKIP
    """
    tree = _read_weights(local_paths.checked("path", path))
    arguments = {**(presets.get(preset) if preset else {}), "layer_norm_epsilon": 1e-6, **arguments}
    fixed = {"combine_streams": "concatenate", "embedding_scale": 1.0, "tie_embeddings": False, "positions": "axial"}
    for name, value in fixed.items():
        if arguments.setdefault(name, value) != value:
            raise ValueError(f"{name} must be {value!r} for weights of Trax. Received: {name}={arguments[name]!r}")
    if rotations:
        arguments["redraw_rotations"] = False
    model = ReformerCausalLM(**arguments)
    weight_mapping.assign(model, dict(_weight_targets(model, tree)), dict(_arrays(tree, "weights")), str(path))
    assign_rotations(model, rotations or {})
    return model


def _read_weights(path: pathlib.Path) -> Any:
    content = trax_file.read(path)
    if not isinstance(content, dict) or "weights" not in content:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'A checkpoint of Trax must be a dict with "weights". Received: {path}: {found}')
    return content["weights"]


def _arrays(tree: Any, name: str, count: Iterator[int] | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """All arrays of nested tuples, named by their indices: `weights[5][0]`."""
    count = itertools.count() if count is None else count
    if next(count) >= _MOST_PARTS:
        raise ValueError(f"A checkpoint must have at most {_MOST_PARTS:,} weights. Received: more")
    if isinstance(tree, list | tuple):
        for index, part in enumerate(tree):
            yield from _arrays(part, f"{name}[{index}]", count)
    elif isinstance(tree, np.ndarray) and tree.dtype.kind in "fV":
        yield name, tree
    else:
        raise ValueError(f"{name} must be an array of floating numbers or a tuple. Received: {type(tree).__name__}")


def _part(tree: Any, *path: int) -> Any:
    """The part of nested tuples at a path of indices."""
    name = "weights"
    for index in path:
        if not isinstance(tree, list | tuple) or len(tree) <= index:
            size = len(tree) if isinstance(tree, list | tuple) else type(tree).__name__
            raise ValueError(f"{name} must be a tuple of more than {index} parts. Received: {size}")
        tree, name = tree[index], f"{name}[{index}]"
    return tree


def _weight_targets(model: ReformerCausalLM, tree: Any) -> Iterator[tuple[str, WeightTarget]]:
    backbone = model.backbone
    yield f"weights[{_TOKENS}]", as_is(backbone.token_embedding.embeddings)
    tables = backbone.get_layer("position_embedding").tables
    for axis, table in enumerate(tables):
        # The array has an axis of size one for each of the other axes, and one for the batch. Instead of the batch axis
        # there may be a tuple of one array.
        shape = [1] * len(tables)
        shape[axis] = table.shape[0]
        is_array = isinstance(_part(tree, _POSITIONS, axis), np.ndarray)
        name = f"weights[{_POSITIONS}][{axis}]"
        yield (name if is_array else f"{name}[0]"), as_is(table, ([1] if is_array else []) + [*shape, table.shape[1]])
    blocks = weight_mapping.blocks(backbone)
    found, expected = len(_part(tree, _TRUNK)), len(blocks) * _ENTRIES_A_LAYER
    if found != expected:
        raise ValueError(f"weights[{_TRUNK}] must have {expected} entries for {len(blocks)} layers. Received: {found}")
    for index, (attention, feed_forward) in enumerate(blocks):
        entry = index * _ENTRIES_A_LAYER
        name = f"weights[{_TRUNK}][{entry}]"
        yield from _pair(f"{name}[0][0]", attention.normalization.gamma, attention.normalization.beta)
        weights = named(attention.layer)
        shared_query_key = isinstance(attention.layer, LSHSelfAttention)
        for position, kernel in enumerate(("query_key", "value") if shared_query_key else ("query", "key", "value")):
            yield f"{name}[1][{position}]", heads_first(weights[kernel])
        yield f"{name}[1][{2 if shared_query_key else 3}]", as_is(weights["output"])
        path: tuple[int, ...] = (_TRUNK, entry + 2, 0, 1, 2)
        if len(_part(tree, *path)) == 4:  # Feed-forward in chunks has the layer itself as one of four.
            path = (*path, 2)
        name = "weights" + "".join(f"[{part}]" for part in path)
        weights = named(feed_forward.layer)
        yield from _pair(f"{name}[0]", feed_forward.normalization.gamma, feed_forward.normalization.beta)
        yield from _pair(f"{name}[1]", weights["inner_kernel"], weights["inner_bias"])
        yield from _pair(f"{name}[4]", weights["outer_kernel"], weights["outer_bias"])
    norm = backbone.get_layer("final_norm")
    yield from _pair(f"weights[{_NORM}]", norm.gamma, norm.beta)
    head = named(model.head)
    yield from _pair(f"weights[{_HEAD}]", head["kernel"], head["bias"])


def _pair(name: str, first: Any, second: Any) -> Iterator[tuple[str, WeightTarget]]:
    yield f"{name}[0]", as_is(first)
    yield f"{name}[1]", as_is(second)

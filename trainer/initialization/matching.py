"""Matches the weights of one run with the variables of another model, by name.

A variable's name has no kind of attention here, so that layers of two kinds match where their weights have the same
names. The backbone is what all tasks share; a head belongs to its task.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from trainer.storage import named_variables

_BACKBONE = ("TokenEmbedding", "position_embedding", "stack", "final_norm", "encoder", "decoder")
_SIDE = re.compile(r"^(encoder|decoder)/(ShiftedEmbedding/)?")  # Of a model that maps one sequence to another.
_KIND = re.compile(r"\b\w+?_((?:cross_)?attention_\d+)")  # local_attention_0, full_cross_attention_0
# The axis of the ids in tables by id.
_ID_AXES = {"TokenEmbedding/embeddings": 0, "head/kernel": 1, "head/bias": 0}
_POSITIONS = re.compile(r"position_embedding/(?:table|axis_(\d+))")


@dataclasses.dataclass
class Matching:
    """What becomes of each variable of a model, and of each weight of the source.

    Attributes:
        values: New values by the names of the variables.
        changed: Those of them that are not as in the source, each with what was done to it.
        initialised: Names of the variables that stay as they are made.
        left_out: Names of the weights in the source that are not used.
        misfits: What is missing or has another shape in the backbone, on either side.
    """

    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    changed: list[str] = dataclasses.field(default_factory=list)
    initialised: list[str] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)
    misfits: list[str] = dataclasses.field(default_factory=list)


def match(
    variables: Mapping[str, keras.Variable],
    arrays: Mapping[str, np.ndarray],
    with_head: bool = True,
    with_id_tables: bool = True,
    tile: bool = False,
    masks: tuple[bool, bool] = (False, False),
) -> Matching:
    """Decides what each variable of a model takes from other weights; assigns nothing.

    - What is made from the seed, rotations, rows of random features and the states of generators, is never taken.
    - A table by id takes the rows of the ids that both have, and that of the mask if both have one; the other rows stay
      as they are made. The mask is the last id, and no other id becomes it or comes of it.
    - Positions that the source does not have repeat its positions if `tile`: row i of a table takes row i modulo the
      number of rows there. Of learned positions and of the first axis of axial ones, which alone decides how far a grid
      reaches, fewer rows are taken as they are.
    - Anything else must have the same shape.

    Args:
        variables: Variables of the model by the names of `named_variables`.
        arrays: Values of another model by the same names.
        with_head: Whether the head is taken too, because it is that of the same task.
        with_id_tables: Whether tables by id are taken, because the ids mean the same.
        tile: Whether positions are repeated, and axes of positions may have another number of rows.
        masks: Whether the last id hides others, in the model and in the source.

    Returns:
        The decisions; the names in them are without `model/`.
    """
    found = Matching()
    saved = {_without_kind(name): name for name in arrays if not named_variables.is_made_from_seed(name)}
    for name, variable in variables.items():
        if named_variables.is_made_from_seed(name):
            continue
        short, there = _short(name), saved.get(_without_kind(name))
        if there is None:
            _miss(found, short, f"{short} is not in the source")
            continue
        if not (with_head or _is_backbone(short)) or not (with_id_tables or _table(short) not in _ID_AXES):
            found.initialised.append(short)
            continue
        del saved[_without_kind(name)]
        value, change = _fitted(short, variable, arrays[there], tile, masks)
        if value is None:
            _miss(found, short, f"{short} is {_shape(variable)} here and {_shape(arrays[there])} in the source")
            found.left_out.append(_short(there))
            continue
        found.values[name] = value
        found.changed += [change] if change else []
    for there in saved.values():
        short = _short(there)
        found.left_out.append(short)
        if _is_backbone(short) and (with_id_tables or _table(short) not in _ID_AXES):
            found.misfits.append(f"{short} is only in the source")
    return found


def _miss(found: Matching, short: str, why: str) -> None:
    found.initialised.append(short)
    if _is_backbone(short):
        found.misfits.append(why)


def _fitted(
    short: str, variable: keras.Variable, array: np.ndarray, tile: bool, masks: tuple[bool, bool]
) -> tuple[np.ndarray | None, str | None]:
    """Returns the value that a variable takes from an array, None if they do not fit, and what was changed, if any."""
    here, there = tuple(variable.shape), array.shape
    is_by_id = _table(short) in _ID_AXES
    if here == there and (not is_by_id or masks[0] == masks[1]):
        return array, None
    if is_by_id and _same_but(here, there, _ID_AXES[_table(short)]):
        return _with_ids_of(short, variable, array, masks)
    positions = _POSITIONS.fullmatch(_table(short))
    if positions and _same_but(here, there, 0):
        is_first = positions[1] in (None, "0")
        if tile or (is_first and here[0] < there[0]):
            rows = (
                f"repeated from {there[0]} to {here[0]}" if here[0] > there[0] else f"the first {here[0]} of {there[0]}"
            )
            change = f"{short}: {rows} rows"
            change += "" if is_first else ", so that positions have other vectors than before"
            return np.take(array, np.arange(here[0]) % there[0], axis=0), change
    return None, None


def _with_ids_of(
    short: str, variable: keras.Variable, array: np.ndarray, masks: tuple[bool, bool]
) -> tuple[np.ndarray, str]:
    axis, value = _ID_AXES[_table(short)], np.array(variable.numpy())
    new, old = np.moveaxis(value, axis, 0), np.moveaxis(array, axis, 0)  # Views: [ids, ...].
    count = min(len(new) - masks[0], len(old) - masks[1])
    new[:count] = old[:count]
    if all(masks):
        new[-1] = old[-1]
    taken = f"{count} ids" + (" and the mask" if all(masks) else "")
    return value, f"{short}: the vectors of {taken}, of {len(new)} ids here and {len(old)} in the source"


def _same_but(here: Sequence[int], there: Sequence[int], axis: int) -> bool:
    """Whether two shapes differ in no other axis than one."""
    return len(here) == len(there) and all(
        a == b or i == axis for i, (a, b) in enumerate(zip(here, there, strict=True))
    )


def _table(short: str) -> str:
    """The name of a variable in its backbone, by which tables of ids and positions are known."""
    return _SIDE.sub("", short)


def _is_backbone(short: str) -> bool:
    return short.split("/")[0] in _BACKBONE


def _without_kind(name: str) -> str:
    return _KIND.sub(r"\1", name)


def _short(name: str) -> str:
    return name.removeprefix(named_variables.MODEL)


def _shape(value: keras.Variable | np.ndarray) -> list[int]:
    return list(value.shape)

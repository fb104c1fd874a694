"""Paints the dashes and markers of Pathfinder pictures in grey.

A pixel has four cells, and its grey follows from how many of them are covered; a cell is covered if its centre is.

Shape letters: B pictures, S dashes of a picture, M markers of a picture.
"""

from __future__ import annotations

import numpy as np

from trainer.data.generated.pathfinder_contours import SIZE, UNIT, UNIT_VECTORS

_CELLS = 2  # cells of a pixel's side
_CELL = UNIT // _CELLS
# The grey of a pixel by the number of its covered cells. A dash is half a pixel wide, so mostly two cells of a pixel
# are covered; it is painted with 1.5 times the covered part, which is 3/4 then. A marker has full contrast.
_DASH_GREYS = np.array([0, 96, 191, 255, 255], np.uint8)
_MARKER_GREYS = np.array([0, 64, 128, 191, 255], np.uint8)
_THICKNESS = UNIT // 2
_MARKER_RADIUS = 3 * UNIT // 2


def paint(
    starts: np.ndarray, directions: np.ndarray, length: int, is_drawn: np.ndarray, markers: np.ndarray
) -> np.ndarray:
    """Paints pictures.

    Args:
        starts: `[B, S, 2]` int64, where the dashes start, (y, x) in multiples of 1/1024 pixel.
        directions: `[B, S]` int64, degrees from 0 to 359.
        length: Pixels of a dash.
        is_drawn: `[B, S]` bool, which of the dashes there are.
        markers: `[B, M, 2]` int64, centres of the markers.

    Returns:
        `[B, 32, 32]` uint8, from 0 (black) to 255.
    """
    pictures, dashes = np.nonzero(is_drawn)
    vectors = UNIT_VECTORS[directions[pictures, dashes]]
    starts = starts[pictures, dashes]
    cells, centres = _cells_around(starts + vectors * length // 2, reach=length * _CELLS // 2 + _CELLS)
    offsets = centres - starts[:, None]
    along = (offsets * vectors[:, None]).sum(axis=-1)
    across = offsets[..., 0] * vectors[:, None, 1] - offsets[..., 1] * vectors[:, None, 0]
    covered = (along >= 0) & (along <= length * UNIT * UNIT) & (2 * np.abs(across) <= _THICKNESS * UNIT)
    grey = _greys(len(is_drawn), pictures, cells, covered, _DASH_GREYS)
    for marker in range(markers.shape[1]):
        cells, centres = _cells_around(markers[:, marker], reach=2 * _CELLS)
        covered = ((centres - markers[:, None, marker]) ** 2).sum(axis=-1) <= _MARKER_RADIUS**2
        grey = np.maximum(grey, _greys(len(is_drawn), np.arange(len(is_drawn)), cells, covered, _MARKER_GREYS))
    return grey


def _cells_around(points: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The cells around each of n points, and their centres: two `[n, (2 reach + 1)^2, 2]`."""
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    cells = (points // _CELL)[:, None] + offsets
    return cells, cells * _CELL + _CELL // 2


def _greys(count: int, pictures: np.ndarray, cells: np.ndarray, covered: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """Pictures `[B, 32, 32]` in which the covered ones of cells are seen; `pictures` has the picture of each n."""
    canvas = np.zeros((count, SIZE * _CELLS, SIZE * _CELLS), np.uint8)
    index, cell = np.nonzero(covered & ((cells >= 0) & (cells < SIZE * _CELLS)).all(axis=-1))
    canvas[pictures[index], cells[index, cell, 0], cells[index, cell, 1]] = 1
    return greys[canvas.reshape(count, SIZE, _CELLS, SIZE, _CELLS).sum(axis=(2, 4))]

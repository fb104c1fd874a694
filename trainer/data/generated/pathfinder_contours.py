"""Contours of Pathfinder: chains of steps that bend gently and keep away from each other.

A step is 4 pixels long; a picture shows the dash of 2 pixels in its middle. Many pictures are drawn at a time, with
integers, so that every machine draws the same: coordinates (y, x) are multiples of 1/1024 pixel, directions are whole
degrees.

Shape letters: B pictures, S steps of a picture, b of the pictures, A directions to try, P points of a step.
"""

from __future__ import annotations

import numpy as np

SIZE = 32  # pixels of a side
UNIT = 1024  # coordinates of a pixel
MARGIN, DASH = 1, 2  # pixels; a step is a margin, a dash and a margin
STEP = MARGIN + DASH + MARGIN
_CLEARANCE = 2  # pixels between steps that do not follow one another
_BORDER = 1  # pixels along the sides in which no step is
_DIRECTIONS_TO_TRY = 8
_CELLS = 2  # cells of a pixel's side, to remember where steps are

# Vectors of one pixel. No sine is so near the middle between two integers that machines might differ.
_ANGLES = np.deg2rad(np.arange(360.0))
UNIT_VECTORS = np.rint(UNIT * np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], axis=1)).astype(np.int64)
# Bends are less than a right angle, and as frequent as the squares of their cosines.
_BENDS = np.arange(-89, 90)
_BEND_FREQUENCIES = np.cumsum(UNIT_VECTORS[_BENDS % 360, 1] ** 2)
# Cells around the one of a step's middle, as offsets (y, x), as far as the clearance reaches.
_REACH = (STEP // 2 + _CLEARANCE) * _CELLS
_OFFSETS = np.stack(np.meshgrid(*[np.arange(-_REACH, _REACH + 1)] * 2), axis=-1).reshape(-1, 2)


class Contours:
    """The contours of B pictures as they grow.

    Attributes:
        starts: `[B, S, 2]` int64, where each step starts.
        directions: `[B, S]` int64, from 0 to 359.
        is_drawn: `[B, S]` bool, which of the steps are there.
    """

    def __init__(self, pictures: int, steps: int):
        self.starts = np.zeros((pictures, steps, 2), np.int64)
        self.directions = np.zeros((pictures, steps), np.int64)
        self.is_drawn = np.zeros((pictures, steps), bool)
        # Of each cell 1 + the first step that came near its centre, 0 if none has.
        self._near = np.zeros((pictures, SIZE * _CELLS, SIZE * _CELLS), np.int16)

    def grow(self, stream: np.random.RandomState, pictures: np.ndarray, starts: np.ndarray, steps: range) -> np.ndarray:
        """Draws a contour in some of the pictures. Where it finds no way, nothing is drawn.

        Args:
            stream: Where the randomness comes from.
            pictures: `[b]` int64, indices of pictures.
            starts: `[b, 2]` int64, where the contour starts.
            steps: Indices of its steps.

        Returns:
            `[b]` bool, where there is a contour now.
        """
        before = self._near[pictures]
        growing = pictures
        for step in steps:
            shape = (len(growing), _DIRECTIONS_TO_TRY)
            if step == steps[0]:
                own, directions = -1, stream.randint(0, 360, size=shape, dtype=np.int64)
            else:
                own, starts = step - 1, self.ends(growing, step - 1)
                drawn = stream.randint(0, _BEND_FREQUENCIES[-1], size=shape, dtype=np.int64)
                bends = _BENDS[np.searchsorted(_BEND_FREQUENCIES, drawn, side="right")]
                directions = (self.directions[growing, own, None] + bends) % 360
            is_free = self._is_free(growing, _points(starts[:, None], directions), own)
            grows, first_free = is_free.any(axis=1), is_free.argmax(axis=1)
            growing = growing[grows]
            self.starts[growing, step] = starts[grows]
            self.directions[growing, step] = directions[grows, first_free[grows]]
            self.is_drawn[growing, step] = True
            self._remember(growing, step)
        has_grown = np.isin(pictures, growing)
        self._near[pictures[~has_grown]] = before[~has_grown]
        self.is_drawn[pictures[~has_grown], steps.start : steps.stop] = False
        return has_grown

    def ends(self, pictures: np.ndarray, step: int) -> np.ndarray:
        """Where a step ends in some of the pictures: `[b, 2]` int64."""
        return self.starts[pictures, step] + STEP * UNIT_VECTORS[self.directions[pictures, step]]

    def _is_free(self, pictures: np.ndarray, points: np.ndarray, own: int) -> np.ndarray:
        """Which steps `[b, A]`, with points `[b, A, P, 2]`, meet neither the border nor another step than `own`."""
        is_inside = ((points >= _BORDER * UNIT) & (points < (SIZE - _BORDER) * UNIT)).all(axis=-1)
        cells = np.clip(points * _CELLS // UNIT, 0, SIZE * _CELLS - 1)
        near = self._near[pictures[:, None, None], cells[..., 0], cells[..., 1]]
        return (is_inside & ((near == 0) | (near == 1 + own))).all(axis=-1)

    def _remember(self, pictures: np.ndarray, step: int) -> None:
        """Marks the cells near a step that no earlier one was near to."""
        directions = self.directions[pictures, step]
        middles = self.starts[pictures, step] + STEP // 2 * UNIT_VECTORS[directions]
        index, offset = np.nonzero(_IS_NEAR[directions])
        cells = (middles * _CELLS // UNIT)[index] + _OFFSETS[offset]
        is_inside = ((cells >= 0) & (cells < SIZE * _CELLS)).all(axis=-1)
        found = pictures[index[is_inside]], *cells[is_inside].T
        near = self._near[found]
        self._near[found] = np.where(near == 0, 1 + step, near)


def _points(starts: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The points of steps, one a pixel: `[..., P, 2]`."""
    return starts[..., None, :] + np.arange(STEP + 1)[:, None] * UNIT_VECTORS[directions][..., None, :]


def _near_cells() -> np.ndarray:
    """Which of the offsets are near a step of each direction, whose middle is the centre of a cell: bool `[360, c]`."""
    points = _points(-STEP // 2 * UNIT_VECTORS, np.arange(360))
    distances = _OFFSETS[:, None] * (UNIT // _CELLS) - points[:, None]
    return ((distances * distances).sum(axis=-1) <= (_CLEARANCE * UNIT) ** 2).any(axis=-1)


_IS_NEAR = _near_cells()

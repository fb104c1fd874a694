"""Pathfinder: are two markers the two ends of one dashed contour, or do they stand on two?

The task is from Linsley et al., "Learning long-range spatial dependencies with horizontal gated recurrent units"
(2018), with the sizes of the Long Range Arena (Tay et al., 2021): pictures of 32 x 32 pixels, whose grey levels row by
row are the ids of a sequence. Both contours have the same length and start 7 pixels apart near the middle. One marker
is where a contour starts; the other is at the far end of the same contour (label 1) or of the other one (label 0).
Shorter contours distract.

Shape letters: N examples, B pictures of a batch, b of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from trainer.data.generated import streams
from trainer.data.generated.pathfinder_contours import DASH, MARGIN, SIZE, STEP, UNIT, UNIT_VECTORS, Contours
from trainer.data.generated.pathfinder_painting import paint

# Lengths of the Arena's three variants; it reports results of the hard one.
CONTOUR_LENGTHS = {"easy": 6, "intermediate": 9, "hard": 14}
# Pictures that are begun at a time, and batches without a finished one after which contours are taken to be too long.
_BATCH = 128
_FRUITLESS_BATCHES = 4
_START_DISTANCE = 7  # pixels between the starts of the two contours
_MARKER_DISTANCE = 4  # least, so that markers of 3 pixels do not touch, whatever the label
_DISTRACTOR_STEPS = 20  # of all distractors together
_TRIALS = 16  # to draw a contour


class Drawings(NamedTuple):
    """Finished pictures of a batch, before they are painted.

    Attributes:
        contours: Contours of all B pictures: those of the first, the second, the distractors.
        pictures: `[b]` int64, indices of the finished pictures.
        markers: `[b, 2, 2]` int64, coordinates of the markers.
        labels: `[b]` int64.
    """

    contours: Contours
    pictures: np.ndarray
    markers: np.ndarray
    labels: np.ndarray


def pathfinder(
    count: int, contour_length: int = 14, distractors: int | None = None, seed: int = 0, part: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Makes pictures of Pathfinder, with each label at random.

    Example n depends on the other arguments and n, not on `count`. The parts are different streams.

    Args:
        count: Number of examples, N.
        contour_length: Dashes of each of the two contours; see `CONTOUR_LENGTHS`.
        distractors: Number of shorter contours, of `contour_length // 3` dashes; 20 dashes together if None. Where a
            picture is full, it has fewer.
        seed: Seed of the data set.
        part: `"train"`, `"validation"` or `"test"`.

    Returns:
        ids: `[N, 1024]` uint8, grey levels from 0 (black) to 255.
        labels: `[N]` int32, 1 if the markers are the ends of one contour, else 0.

    Raises:
        ValueError: If an argument is out of its range, or the contours are so long that two hardly fit in a picture.

    Examples:
        >>> ids, labels = pathfinder(count=3, contour_length=6)
        >>> ids.shape, int(ids.max()), labels.tolist()
        ((3, 1024), 255, [1, 1, 1])
    """
    streams.check_integer("count", count, least=0)
    streams.check_integer("contour_length", contour_length, least=3)
    if distractors is None:
        distractors = _DISTRACTOR_STEPS // (contour_length // 3)
    streams.check_integer("distractors", distractors, least=0)
    streams.check_part(part)
    ids = np.zeros((count, SIZE * SIZE), np.uint8)
    labels = np.zeros(count, np.int32)
    found = 0
    examples = itertools.islice(_examples(contour_length, distractors, seed, part), count)
    for found, (picture, label) in enumerate(examples, start=1):
        ids[found - 1] = picture.ravel()
        labels[found - 1] = label
    if found < count:
        raise ValueError(
            "`contour_length` must be so small that two contours fit in a picture. Received: "
            f"contour_length={contour_length}; {found} pictures of {count} were found"
        )
    return ids, labels


def _examples(contour_length: int, distractors: int, seed: int, part: str) -> Iterator[tuple[np.ndarray, int]]:
    """Paints one picture after another, with labels. Ends where none turn up any longer."""
    latest = 0  # batch with a picture
    for batch in itertools.count():
        if batch > latest + _FRUITLESS_BATCHES:
            return
        drawings = draw(streams.make_stream("pathfinder", seed, part, batch), contour_length, distractors)
        if drawings.pictures.size:
            latest = batch
            contours, pictures = drawings.contours, drawings.pictures
            directions = contours.directions[pictures]
            dashes = contours.starts[pictures] + MARGIN * UNIT_VECTORS[directions]
            painted = paint(dashes, directions, DASH, contours.is_drawn[pictures], drawings.markers)
            yield from zip(painted, drawings.labels, strict=True)


def draw(stream: np.random.RandomState, contour_length: int, distractors: int) -> Drawings:
    """Draws the pictures of a batch.

    Args:
        stream: Where the randomness comes from.
        contour_length: Dashes of each of the two contours.
        distractors: Number of shorter contours.

    Returns:
        The pictures in which both contours found a way.
    """
    length = contour_length // 3
    distractor_steps = range(2 * contour_length, 2 * contour_length + distractors * length)
    contours = Contours(_BATCH, distractor_steps.stop)

    def grow(pictures: np.ndarray, steps: range, draw_starts: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Tries to draw a contour in each picture; returns `[b]` bool, where there is one."""
        missing = pictures
        for _ in range(_TRIALS):
            missing = missing[~contours.grow(stream, missing, draw_starts(missing), steps)]
        return ~np.isin(pictures, missing)

    def anywhere(border: int) -> Callable[[np.ndarray], np.ndarray]:
        least, end = border * UNIT, (SIZE - border) * UNIT
        return lambda missing: stream.randint(least, end, size=(len(missing), 2), dtype=np.int64)

    def beside_the_first(missing: np.ndarray) -> np.ndarray:
        angles = stream.randint(0, 360, size=len(missing), dtype=np.int64)
        return contours.starts[missing, 0] + _START_DISTANCE * UNIT_VECTORS[angles]

    pictures = np.arange(_BATCH)
    # As far from the border as the Arena's.
    pictures = pictures[grow(pictures, range(contour_length), anywhere(2 * _START_DISTANCE))]
    pictures = pictures[grow(pictures, range(contour_length, 2 * contour_length), beside_the_first)]
    begins, ends = _tips(contours, pictures, contour_length)
    fits = _markers_fit(begins, ends, contour_length)
    pictures, begins, ends = pictures[fits], begins[fits], ends[fits]
    for first in distractor_steps[::length]:
        grow(pictures, range(first, first + length), anywhere(0))
    labels = stream.randint(0, 2, size=len(pictures), dtype=np.int64)
    begin = stream.randint(0, 2, size=len(pictures), dtype=np.int64)
    end = np.where(labels == 1, begin, 1 - begin)
    rows = np.arange(len(pictures))
    return Drawings(contours, pictures, np.stack([begins[rows, begin], ends[rows, end]], axis=1), labels)


def _tips(contours: Contours, pictures: np.ndarray, contour_length: int) -> tuple[np.ndarray, np.ndarray]:
    """The beginnings and the ends of the dashes of the first and the second contour: two `[b, 2, 2]`."""
    first_steps = np.array([0, contour_length])
    last_steps = first_steps + contour_length - 1
    starts, directions = contours.starts[pictures], contours.directions[pictures]
    begins = starts[:, first_steps] + MARGIN * UNIT_VECTORS[directions[:, first_steps]]
    ends = starts[:, last_steps] + (MARGIN + DASH) * UNIT_VECTORS[directions[:, last_steps]]
    return begins, ends


def _markers_fit(begins: np.ndarray, ends: np.ndarray, contour_length: int) -> np.ndarray:
    """Whether markers on any beginning and any end do not touch, and a contour reaches from one to the other: `[b]`.

    Were they farther apart than that, the label could be read from the markers alone.
    """
    distances = begins[:, :, None] - ends[:, None]
    squares = (distances * distances).sum(axis=-1)
    least, reach = _MARKER_DISTANCE * UNIT, (STEP * contour_length - 2 * MARGIN) * UNIT
    return ((squares >= least**2) & (squares <= reach**2)).all(axis=(1, 2))

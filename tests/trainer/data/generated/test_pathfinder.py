"""Pathfinder: labels, contours, painting."""

import collections

import numpy as np
import pytest

from trainer.data.generated import pathfinder as pathfinder_module
from trainer.data.generated import pathfinder_contours, streams
from trainer.data.generated.pathfinder import CONTOUR_LENGTHS, draw, pathfinder
from trainer.data.generated.pathfinder_contours import MARGIN, SIZE, STEP, UNIT, UNIT_VECTORS
from trainer.data.generated.pathfinder_painting import paint

CELLS = 4  # of a pixel's side, of the drawings here


def _line(contours, picture, step):
    """Points of a step, 16 a pixel, in pixels."""
    vector = UNIT_VECTORS[contours.directions[picture, step]] / UNIT
    return contours.starts[picture, step] / UNIT + np.arange(STEP * 16 + 1)[:, None] / 16 * vector


def _flooded(canvas, start):
    """The cells that are connected with the first one by cells of the canvas, in 8 directions."""
    reached, waiting = {start}, collections.deque([start])
    while waiting:
        y, x = waiting.popleft()
        for cell in {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} - reached:
            if cell in canvas:
                reached.add(cell)
                waiting.append(cell)
    return reached


@pytest.mark.parametrize("name", CONTOUR_LENGTHS)
def test_the_label_says_whether_a_line_connects_the_markers(name):
    length = CONTOUR_LENGTHS[name]
    drawings = draw(streams.make_stream("test", 1, "train"), length, distractors=3)
    assert len(drawings.pictures) > 10 and {*drawings.labels} == {0, 1}
    for picture, markers, label in zip(drawings.pictures[:20], drawings.markers, drawings.labels, strict=False):
        drawn = np.flatnonzero(drawings.contours.is_drawn[picture])
        assert {*range(2 * length)} <= {*drawn}
        points = np.concatenate([_line(drawings.contours, picture, step) for step in drawn])
        canvas = {(int(y), int(x)) for y, x in np.floor(points * CELLS)}
        begin, end = ((int(y), int(x)) for y, x in markers * CELLS // UNIT)
        assert begin in canvas and end in canvas
        assert (end in _flooded(canvas, begin)) == label


def test_steps_keep_away_from_each_other_and_from_the_border():
    drawings = draw(streams.make_stream("test", 2, "train"), contour_length=9, distractors=6)
    for picture in drawings.pictures[:10]:
        drawn = np.flatnonzero(drawings.contours.is_drawn[picture])
        lines = np.stack([_line(drawings.contours, picture, step)[::8] for step in drawn])
        assert lines.min() >= 1.0 and lines.max() <= SIZE - 1.0
        distances = np.linalg.norm(lines[:, None, :, None] - lines[None, :, None], axis=-1).min(axis=(2, 3))
        for first, second in zip(*np.nonzero(distances < 2.0 - 0.8), strict=True):  # less what cells are wide
            assert abs(first - second) <= 1


def test_contours_are_chains_that_bend_gently():
    drawings = draw(streams.make_stream("test", 3, "train"), contour_length=9, distractors=0)
    contours, pictures = drawings.contours, drawings.pictures
    turns = []
    for first in (0, 9):
        for step in range(first + 1, first + 9):
            np.testing.assert_array_equal(contours.ends(pictures, step - 1), contours.starts[pictures, step])
            turned = contours.directions[pictures, step] - contours.directions[pictures, step - 1]
            turns.append((turned + 180) % 360 - 180)
    assert np.abs(turns).max() < 90
    # The squares of cosines have a standard deviation of 32.6 degrees; corners near borders are sharper.
    assert 30.0 < np.std(turns) < 42.0 and abs(np.mean(turns)) < 4.0


def test_starts_and_markers():
    drawings = draw(streams.make_stream("test", 4, "train"), contour_length=6, distractors=0)
    starts = drawings.contours.starts[drawings.pictures] / UNIT
    np.testing.assert_allclose(np.linalg.norm(starts[:, 0] - starts[:, 6], axis=1), 7.0, atol=0.01)
    assert (starts[:, 0] >= 14.0).all() and (starts[:, 0] <= 18.0).all()
    distances = np.linalg.norm((drawings.markers[:, 0] - drawings.markers[:, 1]) / UNIT, axis=1)
    assert distances.min() >= 4.0 and distances.max() <= 22.0  # markers do not touch; a contour reaches so far
    ends = [np.linalg.norm(starts[:, first] - drawings.markers[:, 0] / UNIT, axis=1) for first in (0, 6)]
    np.testing.assert_allclose(np.minimum(*ends), MARGIN, atol=0.01)


def test_a_picture():
    # Dashes from (2, 1) to (2, 3), along the boundary of two rows of pixels, and in the cells of column 5 left of its
    # middle, from y = 1 to y = 3; another one is not drawn. The marker is in the middle of a pixel.
    starts = np.array([[[2048, 1024], [1024, 5 * 1024 + 256], [9000, 9000]]])
    directions = np.array([[0, 90, 0]])
    markers = np.array([[[10 * 1024 + 512, 20 * 1024 + 512]]])
    (picture,) = paint(starts, directions, 2, np.array([[True, True, False]]), markers)
    expected = np.zeros((32, 32), np.uint8)
    expected[1:3, 1:3] = expected[1:3, 5] = 191
    # Of the corners of a marker, the centre of the outermost of four cells is 1.77 pixels away.
    expected[9:12, 19:22] = [[191, 255, 191], [255, 255, 255], [191, 255, 191]]
    np.testing.assert_array_equal(picture, expected)


def test_what_reaches_over_the_border_is_cut():
    picture = paint(np.array([[[0, 31 * 1024]]]), np.array([[0]]), 2, np.array([[True]]), np.array([[[0, 0]]]))[0]
    assert picture[0, 31] > 0 and picture[0, 0] == 255 and np.count_nonzero(picture) <= 5


def test_pictures_show_what_was_drawn():
    ids, labels = pathfinder(count=20, contour_length=6, distractors=4, seed=5)
    drawings = draw(streams.make_stream("pathfinder", 5, "train"), 6, 4)
    np.testing.assert_array_equal(labels, drawings.labels[:20])
    for picture, markers, row in zip(drawings.pictures, drawings.markers, ids, strict=False):
        grey = row.reshape(SIZE, SIZE)
        drawn = np.flatnonzero(drawings.contours.is_drawn[picture])
        dashes = np.concatenate([_line(drawings.contours, picture, step)[16:49] for step in drawn])
        pixels = np.stack(np.nonzero(grey), axis=1) + 0.5
        shown = np.concatenate([dashes, *[marker[None] / UNIT for marker in markers]])
        assert np.linalg.norm(pixels[:, None] - shown, axis=-1).min(axis=1).max() < 2.2
        assert np.linalg.norm(dashes[:, None] - pixels, axis=-1).min(axis=1).max() < 1.1
        assert all(grey[tuple(marker // UNIT)] == 255 for marker in markers)


def test_examples_depend_on_seed_and_part_but_not_on_the_count():
    many, labels = pathfinder(count=200, contour_length=6, distractors=2, seed=3)
    few, few_labels = pathfinder(count=30, contour_length=6, distractors=2, seed=3)
    np.testing.assert_array_equal(many[:30], few)
    np.testing.assert_array_equal(labels[:30], few_labels)
    assert many.shape == (200, 1024) and many.dtype == np.uint8 and labels.dtype == np.int32
    assert 70 < labels.sum() < 130
    variants = ((4, "train"), (3, "validation"), (3, "test"))
    others = [pathfinder(30, 6, 2, seed=seed, part=part)[0] for seed, part in variants]
    assert len({row.tobytes() for ids in (many, *others) for row in ids}) == 290
    assert pathfinder(count=0)[0].shape == (0, 1024)


def test_the_examples_never_change():
    ids, labels = pathfinder(count=40, contour_length=9, seed=11)
    assert int(streams.mix(ids.astype(np.uint64) + np.arange(1024, dtype=np.uint64) * 256).sum()) == 5371408825154040687
    assert labels[:10].tolist() == [0, 0, 0, 1, 0, 1, 0, 1, 1, 0]


def test_no_sine_is_near_where_machines_might_round_it_apart():
    sines = UNIT * np.sin(np.deg2rad(np.arange(360.0)))
    assert np.abs(sines - np.floor(sines) - 0.5).min() > 1e-3
    assert np.abs(np.linalg.norm(pathfinder_contours.UNIT_VECTORS, axis=1) / UNIT - 1.0).max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -3}, "`count` must be an integer of at least 0. Received: count=-3"),
        ({"contour_length": 2}, "`contour_length` must be an integer of at least 3. Received: contour_length=2"),
        ({"distractors": -1}, "`distractors` must be an integer of at least 0. Received: distractors=-1"),
        ({"part": "dev"}, "`part` must be one of"),
        (
            {"contour_length": 60},
            "`contour_length` must be so small that .* Received: contour_length=60; 0 pictures of 1",
        ),
    ],
)
def test_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(pathfinder_module, "_FRUITLESS_BATCHES", 0)
    with pytest.raises(ValueError, match=message):
        pathfinder(**{"count": 1, **arguments})

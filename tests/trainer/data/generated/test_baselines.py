"""The baselines that look at labels or grey levels alone."""

import numpy as np
import pytest

from trainer.data.generated import baselines
from trainer.data.generated.pathfinder import pathfinder


def test_majority_of_the_training_labels():
    assert baselines.class_majority(np.array([3, 0, 3, 1]), np.array([3, 1, 1, 1, 1])) == 0.2
    with pytest.raises(ValueError, match="`labels` must have at least one label. Received: 0 labels"):
        baselines.class_majority(np.array([1]), np.array([], np.int32))


def test_a_bag_of_pixels_learns_how_many_pixels_are_bright_and_no_more():
    stream = np.random.RandomState(0)
    labels = stream.randint(0, 2, size=600)
    ids = np.zeros((600, 64), np.uint8)
    for row, label in zip(ids, labels, strict=True):
        row[stream.choice(64, size=10 + 2 * label, replace=False)] = 100
        row[stream.randint(64)] = 7
    assert baselines.bag_of_pixels(ids[:400], labels[:400], ids[400:], labels[400:]) > 0.9

    sides = np.zeros((600, 64), np.uint8)  # the label is where the bright pixels are
    sides[:, :32] = 100
    sides[labels == 1] = sides[labels == 1, ::-1]
    majority = baselines.class_majority(labels[:400], labels[400:])
    assert baselines.bag_of_pixels(sides[:400], labels[:400], sides[400:], labels[400:]) == majority < 0.6


def test_a_bag_of_pixels_does_not_learn_pathfinder():
    train, validation = (
        pathfinder(count, contour_length=6, distractors=3, part=part)
        for count, part in ((900, "train"), (400, "validation"))
    )
    assert 0.41 < baselines.bag_of_pixels(*train, *validation) < 0.59  # 3.5 standard errors


def test_pictures_of_one_label_teach_that_label():
    ids, labels = np.random.RandomState(0).randint(0, 256, size=(50, 64)).astype(np.uint8), np.arange(50) % 5 // 4
    for label, share in ((0, 0.8), (1, 0.2)):
        assert baselines.bag_of_pixels(ids[:9], np.full(9, label), ids, labels) == share


def test_labels_of_pictures_are_checked():
    ids = np.zeros((3, 4), np.uint8)
    with pytest.raises(ValueError, match=r"`train_labels` must be 0 or 1, at least one. Received: \[1, 2\]"):
        baselines.bag_of_pixels(ids, np.array([1, 2, 1]), ids, np.array([0, 1, 0]))
    with pytest.raises(ValueError, match=r"`labels` must be 0 or 1, at least one. Received: \[\]"):
        baselines.bag_of_pixels(ids, np.array([1, 0, 1]), ids[:0], np.array([], np.int32))

"""The small convolutional network."""

import numpy as np
import pytest

from trainer.data.generated import small_cnn


def _corners_or_lines(count, seed):
    """Pictures of three bright pixels: in a line (0) or in a corner (1)."""
    stream = np.random.RandomState(seed)
    labels = stream.randint(0, 2, size=count)
    pictures = np.zeros((count, 8, 8), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        y, x = stream.randint(1, 7, size=2)
        picture[y, x - 1 : x + 2 - label] = 255
        if label:
            picture[y + 1, x] = 255
    return pictures.reshape(count, 64), labels


def test_a_shape_is_learned(monkeypatch):
    monkeypatch.setattr(small_cnn, "_BLOCKS", 1)  # half the time
    train, validation = _corners_or_lines(512, seed=0), _corners_or_lines(200, seed=1)
    epochs = []
    assert small_cnn.small_cnn(*train, *validation, epochs=6, on_epoch=epochs.append) > 0.85
    assert epochs == [1, 2, 3, 4, 5, 6]


def test_pictures_of_one_label_teach_that_label():
    (ids, labels), validation = _corners_or_lines(10, seed=0), _corners_or_lines(200, seed=1)
    ones = ids[labels == 1]
    assert small_cnn.small_cnn(ones, np.ones(len(ones), np.int32), *validation) == np.mean(validation[1])


def test_pictures_are_checked():
    ids, labels = np.zeros((128, 1000), np.uint8), np.zeros(128, np.int32)
    with pytest.raises(ValueError, match=r"`train_ids` must have the shape .* Received: shape \(128, 1000\)"):
        small_cnn.small_cnn(ids, labels, ids, labels)
    with pytest.raises(ValueError, match="`epochs` must be an integer of at least 1. Received: epochs=0"):
        small_cnn.small_cnn(ids[:, :900], labels, ids, labels, epochs=0)
    with pytest.raises(ValueError, match=r"`train_labels` must be 0 or 1, at least one. Received: \[2\]"):
        small_cnn.small_cnn(ids[:, :900], labels + 2, ids, labels)
    with pytest.raises(ValueError, match=r"`labels` must be 0 or 1, at least one. Received: \[3\]"):
        small_cnn.small_cnn(ids[:, :900], labels, ids, labels + 3)

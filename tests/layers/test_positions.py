"""Position embeddings of the first positions, which programs for accelerators take in place of look-ups."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import AxialPositionEmbedding, LearnedPositionEmbedding, SinusoidalPositionEmbedding

WIDTH, LONGEST = 12, 24
LAYERS = {
    "axial": lambda: AxialPositionEmbedding((4, 6), (5, 7)),
    "axial, three axes": lambda: AxialPositionEmbedding((2, 3, 4), (3, 4, 5)),
    "axial, one axis": lambda: AxialPositionEmbedding((24,), (12,)),
    "learned": lambda: LearnedPositionEmbedding(LONGEST),
    "sinusoidal": SinusoidalPositionEmbedding,
}


@pytest.mark.parametrize("name", LAYERS)
def test_they_are_those_of_a_look_up(name):
    layer = LAYERS[name]()
    layer.build((None, None, WIDTH))
    tables = [v.value for v in layer.weights]
    for length in (1, 5, 12, 13, LONGEST):
        expected = layer.look_up(tf.range(length), WIDTH, tables)
        np.testing.assert_array_equal(layer.first(length, WIDTH), expected)

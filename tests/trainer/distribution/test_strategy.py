"""Strategies by name."""

import pytest
import tensorflow as tf

from trainer.distribution.strategy import make_strategy


def test_one_device():
    assert make_strategy("one_device").num_replicas_in_sync == 1


def test_mirrored_over_parts_of_a_cpu():
    strategy = make_strategy("mirrored", logical_devices=2)
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == 2


def test_unknown_name():
    with pytest.raises(ValueError, match="`config.strategy` must be one of one_device, .* Received: 'both'"):
        make_strategy("both")


def test_a_cpu_can_be_split_only_at_first():
    tf.constant(1)
    with pytest.raises(ValueError, match=r"`config.logical_devices` must be set before .* Received: 16"):
        make_strategy("mirrored", logical_devices=16)

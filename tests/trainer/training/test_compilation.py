"""Whether XLA compiles the steps of a run."""

from unittest import mock

import pytest
import tensorflow as tf

from reformer_tf.ops.execution import budgets
from trainer.training import compilation

ONE_DEVICE = tf.distribute.OneDeviceStrategy("CPU:0")


@pytest.mark.parametrize("kind", ["CPU", "GPU", "TPU"])
def test_auto_follows_the_device(kind):
    with budgets.target(kind):
        assert compilation.is_wanted("auto", ONE_DEVICE) is (kind != "CPU")
        assert compilation.is_wanted(True, ONE_DEVICE) is True
        assert compilation.is_wanted(False, ONE_DEVICE) is False


def test_auto_compiles_nothing_that_reads_variables_of_another_process():
    strategy = mock.Mock(spec=tf.distribute.ParameterServerStrategy)
    with budgets.target("GPU"):
        assert compilation.is_wanted("auto", strategy) is False

"""Whether XLA compiles the steps of a run."""

import pytest

from reformer_tf.ops.execution import budgets
from trainer.training import compilation


@pytest.mark.parametrize("kind", ["CPU", "GPU", "TPU"])
def test_auto_follows_the_device(kind):
    with budgets.target(kind):
        assert compilation.is_wanted("auto") is (kind != "CPU")
        assert compilation.is_wanted(True) is True
        assert compilation.is_wanted(False) is False

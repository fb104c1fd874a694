"""The step of a config as one program."""

import numpy as np
import pytest
from tensorflow.compiler.xla.service import hlo_pb2

from compilers.chips.registry import CHIPS
from compilers.steps import config_step, lowering
from configs import tiny


def _config():
    config = tiny.get_config()
    config.model.num_layers, config.train.batch_size = 2, 2
    return config


@pytest.fixture(scope="module")
def lowered():
    step = config_step.make(_config())
    return step, hlo_pb2.HloModuleProto.FromString(lowering.lower(step, CHIPS["v5e"]))


def test_the_step_of_a_config_updates_its_weights_and_slots_in_place(lowered):
    step, module = lowered
    (entry,) = [c for c in module.computations if c.id == module.entry_computation_id]
    parameters = {i.parameter_number: i for i in entry.instructions if i.opcode == "parameter"}
    updated = [parameters[alias.parameter_number].shape for alias in module.input_output_alias.entries]
    numbers = sum(int(np.prod(shape.dimensions)) for shape in updated)
    # Weights and both averages of Adam; and the number of updates.
    assert numbers == 3 * step.facts["parameters"] + 1


def test_a_step_keeps_the_batch_and_the_optimizer_of_its_config():
    config = _config()
    config.optimizer.name, config.train.batch_size, config.train.sequence_length = "adafactor", 4, 64
    step = config_step.make(config)
    assert [spec.shape.as_list() for spec in step.signature] == [[4, 65], [4, 65], [2]]
    assert step.facts["optimizer"] == "adafactor" and len(step.signature) == 3


def test_a_config_that_breaks_a_rule_is_refused():
    config = _config()
    config.train.batch_size, config.train.accumulation_steps = 3, 2
    with pytest.raises(ValueError, match="`config.train.batch_size` must be divisible"):
        config_step.make(config)

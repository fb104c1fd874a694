"""An update changes variables one after another, so that their temporary tensors are not alive together."""

import keras
import pytest
import tensorflow as tf

from tests.trainer.training.test_step import _optimizer_config
from trainer.optimization import optimizer


def _follows(later: tf.Operation, earlier: set[tf.Operation]) -> bool:
    """Whether an operation waits for all of these."""
    seen, waiting = set(), [later]
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            waiting += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    return earlier <= seen


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
def test_one_variable_at_a_time(name, weight_decay):
    variables = [keras.Variable(tf.ones([4, 3]), name=f"kernel_{index}") for index in range(4)]
    config = _optimizer_config(name=name, weight_decay=weight_decay, ema_momentum=0.9)
    made = optimizer.make_optimizer(config, 10, variables)

    @tf.function(autograph=False)
    def update(gradients):
        made.apply(gradients, variables)

    graph = update.get_concrete_function([tf.TensorSpec([4, 3])] * 4).graph
    captured = {id(external): internal for external, internal in graph.captures}
    before: set[tf.Operation] = set()
    for pair in zip(variables, made.average.variables, strict=True):
        handles = [captured[id(variable.value.handle)] for variable in pair]
        assignments = {op for handle in handles for op in handle.consumers() if op.type.startswith("Assign")}
        assert len(assignments) == (3 if weight_decay else 2)  # The decay, the update and the average.
        # An assignment's inputs are its results, among them the temporary tensors.
        assert all(_follows(assignment.inputs[1].op, before) for assignment in assignments)
        before = assignments


def test_updates_outside_of_graphs():
    variable = keras.Variable(tf.ones([2]))
    made = optimizer.make_optimizer(_optimizer_config(warmup_steps=0), 10, [variable])
    made.apply([tf.constant([1.0, -1.0])], [variable])
    assert variable.numpy().tolist() == pytest.approx([0.99, 1.01], rel=1e-5)

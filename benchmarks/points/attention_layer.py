"""Time and memory of one causal attention layer, forward and backward, in a process of its own.

    python -m benchmarks.points.attention_layer --subject=lsh --length=4096

The subject is a registered kind of attention, `keras` (`keras.layers.MultiHeadAttention`), or `performer_pytorch` (its
`SelfAttention` without a CUDA kernel). Each token is one of 256 normal vectors. The gradients, of weights and inputs,
are those of a mean over the outputs with random weights. The last line is one JSON object: the fields of
`benchmarks.measuring.steps.measure` for forward and backward together; `forward_s`, the median time of a forward pass
in inference; and `parameters`.
"""

import json
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, layer_flags, steps
from benchmarks.measuring.layer_subjects import PERFORMER_PYTORCH
from benchmarks.measuring.sizes import VOCABULARY
from benchmarks.measuring.steps import Step

flags.adopt_module_key_flags(layer_flags)  # For --help.
_SUBJECT = flags.DEFINE_string("subject", "full", "Layer to measure.")
_LENGTH = command_line.define("length")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Measured repetitions, after one that is not measured.", lower_bound=1)


def measure() -> dict[str, Any]:
    """Measures, and returns the content of the last line."""
    ids = steps.random_ids(1, _LENGTH.value)
    step, forward, parameters = _performer_pytorch() if _SUBJECT.value == PERFORMER_PYTORCH else _ours()
    measured = steps.measure(step, 1, _LENGTH.value, _REPEAT.value)
    steps.timed(forward, ids, 0)
    seconds = steps.median_seconds(forward, ids, 1, _REPEAT.value)
    return {**measured, "forward_s": seconds, "parameters": parameters}


def _ours() -> tuple[Step, Step, int]:
    """Forward and backward, the forward pass, and the number of trainable weights, of a Keras layer."""
    import tensorflow as tf

    from benchmarks.points import layer_making

    layer = layer_making.make(_SUBJECT.value, _LENGTH.value)
    table = tf.constant(layer_making.random_vectors(2 * VOCABULARY))
    variables = layer.trainable_variables

    @tf.function(autograph=False)
    def gradients(ids: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        x = tf.gather(table, ids[:, :-1])
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(layer(x, training=True) * tf.gather(table, VOCABULARY + ids[:, 1:]))
        return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, [x, *variables])]

    @tf.function(autograph=False)
    def forward(ids: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(layer(tf.gather(table, ids[:, :-1]), training=False))

    return (
        lambda ids, _: float(gradients(tf.constant(ids))[0]),
        lambda ids, _: float(forward(tf.constant(ids))),
        sum(variable.shape.num_elements() for variable in map(tf.convert_to_tensor, variables)),
    )


def _performer_pytorch() -> tuple[Step, Step, int]:
    """The same of performer-pytorch."""
    from benchmarks.peers import performer_layer

    return performer_layer.steps_of_a_layer(layer_flags.HEADS.value, layer_flags.KEY_DIM.value)


def main() -> None:
    """Measures and prints."""
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)

"""Time of a decoding step of one attention layer and the size of its state, in a process of its own.

    python -m benchmarks.points.attention_decoding --subject=lsh --context=4096

A context of random vectors is run at once, and then `--tokens` more, one at a time, in one graph, `--repeat` times
after one that is not counted. A layer without a cache runs its whole prefix again. The last line is one JSON object:
`token_s`, the median time of a token; and `state_bytes`, the size of a state that holds the context and no more, or of
the ids where there is no cache.
"""

import json
import statistics
import time
from typing import Any

import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, layer_flags
from benchmarks.points import layer_making
from reformer_tf.layers.attention import decoding
from reformer_tf.ops.caches import State, StepIndices
from reformer_tf.ops.execution import row_chunks

flags.adopt_module_key_flags(layer_flags)  # For --help.
_SUBJECT = flags.DEFINE_string("subject", "full", "Layer to measure.")
_CONTEXT = flags.DEFINE_integer("context", 1024, "Tokens before the first that is timed.", lower_bound=1)
_TOKENS = flags.DEFINE_integer("tokens", 20, "New tokens of a repetition.", lower_bound=1)
_REPEAT = flags.DEFINE_integer("repeat", 5, "Measured repetitions, after one that is not measured.", lower_bound=1)

_BYTES_OF_AN_ID = 4


def measure() -> dict[str, Any]:
    """Measures, and returns the content of the last line."""
    capacity = _CONTEXT.value + _TOKENS.value * (_REPEAT.value + 1)
    layer = layer_making.make(_SUBJECT.value, capacity)
    context = tf.constant(layer_making.random_vectors(_CONTEXT.value)[None])
    if layer.cache() is None:
        return {"token_s": _prefix_seconds(layer, context), "state_bytes": _BYTES_OF_AN_ID * _CONTEXT.value}
    stored = tf.nest.flatten(_filled(layer, context, _CONTEXT.value))
    size = sum(x.dtype.size * int(tf.size(x)) for x in stored)
    return {"token_s": _step_seconds(layer, _filled(layer, context, capacity)), "state_bytes": size}


def _filled(layer: Any, context: tf.Tensor, capacity: int) -> State:
    """The state after the context."""

    @tf.function(autograph=False)
    def fill() -> State:
        return decoding.prefill(layer, context, tf.constant([_CONTEXT.value]), capacity)[1]

    return fill()


def _step_seconds(layer: Any, state: State) -> float:
    """The median time of a decoding step, which overwrites the state."""
    tokens = tf.constant(layer_making.random_vectors(_TOKENS.value)[:, None, None])

    @tf.function(autograph=False)
    def go_on(first: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        def step(index: tf.Tensor, total: tf.Tensor, state: State) -> tuple[tf.Tensor, tf.Tensor, State]:
            with row_chunks.at_most(1):  # As in the decoding of a model.
                output, state = decoding.step(layer, tokens[index], StepIndices(first + index[None]), state)
            return index + 1, total + output, state

        loop = (tf.constant(0), tf.zeros_like(tokens[0]), state)
        # A step overwrites the state that the step before read.
        _, total, state = tf.while_loop(lambda index, *_: index < _TOKENS.value, step, loop, parallel_iterations=1)
        return total, state

    seconds = []
    for repetition in range(_REPEAT.value + 1):
        start = time.perf_counter()
        total, state = go_on(tf.constant([_CONTEXT.value + repetition * _TOKENS.value]), state)
        total.numpy()
        seconds.append((time.perf_counter() - start) / _TOKENS.value)
    return statistics.median(seconds[1:])


def _prefix_seconds(layer: Any, context: tf.Tensor) -> float:
    """The median time of the layer on the context."""
    forward = tf.function(lambda: layer(context, training=False), autograph=False)
    seconds = []
    for _ in range(_REPEAT.value + 1):
        start = time.perf_counter()
        forward().numpy()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measures and prints."""
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)

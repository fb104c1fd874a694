"""Peak memory of an optimizer step of the trainer, in copies of the parameters.

    python -m benchmarks.optimizer_memory --optimizer=adam --matrices=96

A chain of large matrices takes a few steps on a few tokens, so that activations do not matter. The last line is one
JSON object: `copies`, the peak memory of a step besides weights and slots, in units of 4 bytes a parameter (the
gradient is one of them); `parameters`; `grown_mib`, the measured growth of memory; `graph_mib`, the growth of a narrow
model with as many matrices, which was subtracted; and the arguments.

The figure is that of the tensors that are alive together, and depends neither on the cores nor on the allocator: there
are threads for all that may run at once, and freed tensors go back to the system. In a run of the trainer, glibc keeps
what was freed for the thread that asked for it, which can be a few matrices for each thread of TensorFlow
(`MALLOC_ARENA_MAX=1` in the environment prevents that).
"""

import ctypes
import json

import keras
import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict

from benchmarks.measuring import command_line
from trainer.config import default_config
from trainer.optimization.optimizer import OPTIMIZERS, make_optimizer
from trainer.training.memory import forget_peak, peak_mib, resident_mib
from trainer.training.step import TrainStep

_OPTIMIZER = flags.DEFINE_enum("optimizer", "adam", OPTIMIZERS, "Optimizer.")
_MATRICES = flags.DEFINE_integer("matrices", 96, "Matrices of the model.", lower_bound=1)
_SIZE = flags.DEFINE_integer("size", 1024, "Rows and columns of a matrix.", lower_bound=1)
_CLIP_NORM = flags.DEFINE_float("clip_norm", 1.0, "Largest norm of a gradient; 0 for no clipping.", lower_bound=0.0)
_WEIGHT_DECAY = flags.DEFINE_float("weight_decay", 0.0, "Weight decay.", lower_bound=0.0)
_ARGUMENTS = ["optimizer", "matrices", "size", "clip_norm", "weight_decay"]

_M_MMAP_THRESHOLD = -3  # Of glibc's `mallopt`.
_NARROW = 8
_TOKENS = 16


class _Chain(keras.Model):
    """The smallest model of many matrices that has `token_losses`."""

    def __init__(self, matrices: int, size: int):
        super().__init__()
        self.matrices = [self.add_weight((size, size), name=f"matrix_{index}") for index in range(matrices)]

    def token_losses(self, ids: tf.Tensor, mask: tf.Tensor, training: bool, seed: tf.Tensor) -> tf.Tensor:
        x = tf.one_hot(ids[0, :-1], self.matrices[0].shape[0])
        for matrix in self.matrices:
            x += tf.tanh(x @ tf.convert_to_tensor(matrix))
        return tf.reduce_mean(x**2, axis=-1)[None]


def measure() -> dict:
    """Makes the steps, of a narrow model first, and returns the content of the last line."""
    tf.config.threading.set_inter_op_parallelism_threads(_MATRICES.value)
    if ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20) != 1:
        raise OSError("The benchmark needs glibc, whose `mallopt` did not take the threshold of 1 MiB.")
    # The memory of the graph is subtracted.
    graph = _grown(_NARROW)
    grown = _grown(_SIZE.value)
    parameters = _MATRICES.value * _SIZE.value**2
    return {
        "copies": (grown - graph) / (4 * parameters / 2**20),
        "parameters": parameters,
        "grown_mib": grown,
        "graph_mib": graph,
        **command_line.arguments(_ARGUMENTS),
    }


def _grown(size: int) -> float:
    """The growth of the peak resident size in MiB by a few steps of a model with matrices of this size."""
    model = _Chain(_MATRICES.value, size)
    config: ConfigDict = default_config().optimizer
    config.name, config.weight_decay = _OPTIMIZER.value, _WEIGHT_DECAY.value
    optimizer = make_optimizer(config, 10, model.trainable_variables)
    step = TrainStep(model, optimizer, tf.distribute.get_strategy(), clip_norm=_CLIP_NORM.value)
    ids = tf.range(_TOKENS + 1)[None] % size
    before = resident_mib()
    forget_peak()
    for index in range(3):
        result = step((ids, tf.ones(ids.shape, tf.bool)), tf.constant([0, index]))
        if not bool(result.applied):
            raise FloatingPointError(f"The loss of step {index} is {float(result.loss)}.")
    return peak_mib() - before


def main() -> None:
    """Measures and prints."""
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)

"""Memory of a training step of an encoder-decoder, forward and backward, at several depths of the decoder.

    python -m benchmarks.seq2seq_memory --source=16384 --target=4096 --decoder_layers=2,12

Each depth is measured in a process of its own. Of each there is a line with `grown_mib`, the growth of the resident
size by the second step, and the sizes of the gradients of the decoder's blocks and of the integer buckets that its
stack saves. The last line is one JSON object: how much the growth by a step differs between the first depth and the
last, and the ratio of that to the gradients and buckets. Activations stay the same, however deep the decoder is; and
the gradient of the encoder's output is one sum, and not one tensor for each layer.

The figure is that of the tensors that are alive together: freed tensors go back to the system (glibc's `mallopt`).
"""

import ctypes
import json
import subprocess
import sys
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS, CROSS_ATTENTION_LAYERS
from reformer_tf.models import ReformerSeq2Seq
from trainer.training.memory import forget_peak, peak_mib, resident_mib

_SOURCE = flags.DEFINE_integer("source", 16384, "Tokens of the source.", lower_bound=1)
_TARGET = flags.DEFINE_integer("target", 4096, "Tokens of the target.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 256, "Width of the model.", lower_bound=1)
_HEADS = flags.DEFINE_integer("heads", 4, "Attention heads; key_dim is width / heads.", lower_bound=1)
_LAYERS = flags.DEFINE_list("decoder_layers", ["2", "12"], "Depths of the decoder.")
_ATTENTION = flags.DEFINE_enum("attention", "lsh", list(ATTENTION_LAYERS), "Self-attention of both sides.")
_CROSS = flags.DEFINE_enum("cross_attention", "full", list(CROSS_ATTENTION_LAYERS), "Cross-attention.")
_REVERSIBLE = flags.DEFINE_bool("reversible", True, "Whether the stacks are reversible.")
_ARGUMENTS = ["source", "target", "width", "heads", "attention", "cross_attention", "reversible"]

_M_MMAP_THRESHOLD = -3  # Of glibc's `mallopt`.
_IDS = 256


def measure(layers: int) -> dict[str, Any]:
    """Measures a step with a decoder of so many layers."""
    # Without, threads would keep freed tensors.
    if ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**18) != 1:
        raise OSError("The benchmark needs glibc, whose `mallopt` did not take the threshold of 256 KiB.")
    before = resident_mib()
    model = ReformerSeq2Seq(
        _IDS,
        _IDS,
        _SOURCE.value,
        _TARGET.value,
        num_encoder_layers=1,
        num_decoder_layers=layers,
        hidden_dim=_WIDTH.value,
        num_heads=_HEADS.value,
        key_dim=_WIDTH.value // _HEADS.value,
        intermediate_dim=4 * _WIDTH.value,
        encoder_attention_layers=[_ATTENTION.value],
        decoder_attention_layers=[_ATTENTION.value],
        cross_attention=_CROSS.value,
        reversible=_REVERSIBLE.value,
        num_hashes=2,
    )

    @tf.function(autograph=False)
    def step(source: tf.Tensor, target: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            losses = model.token_losses({"source": source, "target": target}, training=True, seed=seed)
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, model.trainable_variables)

    rng = np.random.default_rng(0)
    ids = [tf.constant(rng.integers(0, _IDS, (1, n.value)), tf.int32) for n in (_SOURCE, _TARGET)]
    # The first step also optimizes the graph and makes its kernels, whose memory grows with the number of weights.
    _run(step, ids)
    ready = resident_mib()
    forget_peak()
    _run(step, ids)
    stack = model.decoder.get_layer("stack")
    weights = sum(int(np.prod(weight.shape)) for weight in stack.trainable_variables)
    layers_that_hash = [layer for layer in model.decoder.self_attention if layer.hashes(_TARGET.value)]
    hashing = sum(layer.num_hashes * layer.num_heads for layer in layers_that_hash)
    return {
        "decoder_layers": layers,
        "grown_mib": peak_mib() - ready,
        "weights_and_graph_mib": ready - before,
        "gradients_mib": 4 * weights / 2**20,
        "buckets_mib": 4 * hashing * _TARGET.value * _REVERSIBLE.value / 2**20,
    }


def _run(step: Any, ids: list[tf.Tensor]) -> None:
    loss, _ = step(*ids, tf.constant([0, 0]))
    if not np.isfinite(loss):
        raise FloatingPointError(f"The loss is {float(loss)}.")


def main() -> None:
    """Measures each depth in a child process, and prints."""
    with command_line.checking():
        command_line.check_heads()
        depths = command_line.positive_integers("decoder_layers")
    if len(depths) == 1:
        print(json.dumps({**measure(depths[0]), **command_line.arguments(_ARGUMENTS)}))
        return
    found = []
    for depth in depths:
        options = command_line.options({**command_line.arguments(_ARGUMENTS), "decoder_layers": depth})
        command = [sys.executable, "-m", "benchmarks.seq2seq_memory", *options]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found.append(json.loads(output.splitlines()[-1]))
        print(json.dumps(found[-1]), flush=True)
    grown, gradients, buckets = (found[-1][n] - found[0][n] for n in ("grown_mib", "gradients_mib", "buckets_mib"))
    allowed = gradients + buckets
    print(json.dumps({"growth_mib": grown, "allowed_mib": allowed, "ratio": grown / allowed}))


if __name__ == "__main__":
    command_line.run(main)

"""Bits per byte of one subject after some steps on real text, in a process of its own.

    python -m benchmarks.points.quality --subject=ours:chunk --length=4096 --layers=2 --steps=300

Subjects are written as in `benchmarks.scaling`: `ours`, `ours:chunk`, `huggingface`, and so on. All of them see the
same examples of the sources of the Python standard library in the same sequence, batch 1, and train by Adam at a
constant rate. The boundary between documents is byte 0, so that every vocabulary has 256 ids. The last line is one JSON
object: `validation_bits` and `train_bits` (the mean of the last tenth of the steps), both per byte; `start_bits`, the
same of the first step; `train_seconds` of all steps; `curve`, the `validation_bits` after several numbers of `steps`,
with the `seconds` that the steps after the first had taken, as tracing takes longer than a step; and the arguments.

Our layers are LSH without a local round; `--attention` names other kinds.
"""

import json
import math
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, our_model, quality_flags, subjects
from benchmarks.measuring.sizes import Sizes
from reformer_tf.layers.attention import registry
from trainer.config import default_config
from trainer.data import datasets
from trainer.data.documents import BOUNDARY
from trainer.optimization.optimizer import make_optimizer
from trainer.training.step import TrainStep

flags.adopt_module_key_flags(quality_flags)  # For --help.
_SUBJECT = flags.DEFINE_string("subject", "ours", "Subject to train.")
_ATTENTION = flags.DEFINE_list("attention", ["lsh"], "Kinds of our layers, repeated over them.")
_DEFAULT_LAYERS = flags.DEFINE_bool("default_layers", False, "Whether our layers have their default local round.")
_EVALUATIONS = flags.DEFINE_integer("evaluations", 1, "Validations, the last after all steps.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the weights and of the sequence of examples.", lower_bound=0)


class OurLearner:
    """The model of `benchmarks.train_step`, with untied embeddings, trained by the step of the trainer."""

    def __init__(self, sizes: Sizes, subject: subjects.Subject, rate: float, seed: int):
        keras.utils.set_random_seed(seed)
        self.model = our_model.build(
            sizes,
            attention_layers=_ATTENTION.value,
            reversible=subject.name == "ours",
            local_round=None if _DEFAULT_LAYERS.value else False,
            tie_embeddings=False,  # The peers' heads are not tied either.
            attention_options={"lsh": {"window": subject.window}} if "lsh" in _ATTENTION.value else None,
            seed=seed,
            dtype=subject.policy,
        )
        config = default_config().optimizer
        config.update({"learning_rate": rate, "schedule": "constant", "warmup_steps": 0, "epsilon": subjects.EPSILON})
        config.beta_1, config.beta_2 = subjects.BETAS
        optimizer = make_optimizer(config, 0, self.model.trainable_variables)
        self._seed = seed
        self._step = TrainStep(self.model, optimizer, tf.distribute.get_strategy(), clip_norm=subjects.CLIP_NORM)
        self._losses = tf.function(self.model.token_losses, autograph=False)

    def step(self, ids: np.ndarray, index: int) -> float:
        """Makes step `index` on ids `[1, L + 1]`, and returns the loss before the update, nats a token."""
        result = self._step((tf.constant(ids), tf.ones(ids.shape, tf.bool)), tf.constant([self._seed, index]))
        return float(result.loss)

    def evaluate(self, ids: np.ndarray) -> float:
        """The loss on ids `[1, L + 1]`, nats a token."""
        return float(tf.reduce_mean(self._losses(tf.constant(ids))))


def learner(sizes: Sizes, subject: subjects.Subject, rate: float, seed: int) -> Any:
    """Makes a new model and its optimizer, with the methods of `OurLearner`.

    Raises:
        ValueError: for a subject that cannot be trained here.
    """
    if subject.peer:
        subjects.check_installed([subject])
        from benchmarks.peers.torch_learner import TorchLearner

        return TorchLearner(sizes, subject, rate, seed)
    if subject.name not in ("ours", "ours_plain"):
        raise ValueError(f"--subject must be ours, ours_plain or a peer. Received: {subject.label}")
    return OurLearner(sizes, subject, rate, seed)


def measure(subject: subjects.Subject) -> dict[str, Any]:
    """Trains, evaluates, and returns the content of the last line."""
    corpus = datasets.load_corpus({})
    train, validation = (
        datasets.Examples(documents, quality_flags.LENGTH.value) for documents in (corpus.train, corpus.validation)
    )
    permutation = np.random.default_rng(_SEED.value).permutation(len(train) - 1)  # The last example is short.
    if quality_flags.STEPS.value > len(permutation) or quality_flags.VALIDATION_WINDOWS.value >= len(validation):
        raise ValueError(f"There are {len(permutation)} windows to train on and {len(validation) - 1} to validate on.")
    model = learner(command_line.sizes(), subject, quality_flags.LEARNING_RATE.value, _SEED.value)
    steps, losses, curve, seconds = quality_flags.STEPS.value, [], [], []
    evaluated_after = {steps * (index + 1) // _EVALUATIONS.value for index in range(_EVALUATIONS.value)}
    for index in range(steps):
        start = time.perf_counter()
        losses.append(model.step(_ids(train, permutation[index]), index))
        seconds.append(time.perf_counter() - start)
        if index + 1 in evaluated_after:
            bits = _bits([model.evaluate(_ids(validation, i)) for i in range(quality_flags.VALIDATION_WINDOWS.value)])
            curve.append({"steps": index + 1, "seconds": sum(seconds[1:]), "validation_bits": bits})
    if not np.isfinite(losses).all():
        raise FloatingPointError(f"The loss of step {int(np.argmin(np.isfinite(losses)))} is not finite.")
    return {
        "validation_bits": curve[-1]["validation_bits"],
        "train_bits": _bits(losses[-max(1, steps // 10) :]),
        "start_bits": _bits(losses[:1]),
        "train_seconds": sum(seconds),
        "curve": curve,
        "corpus": corpus.name,
        "subject": subject.label,
        **command_line.arguments([*quality_flags.NAMES, _SEED.name]),
    }


def _bits(losses: list[float]) -> float:
    """The mean of losses in nats as bits."""
    return float(np.mean(losses)) / math.log(2.0)


def _ids(examples: datasets.Examples, index: int) -> np.ndarray:
    ids = examples[int(index)][0][None]
    return np.where(ids == BOUNDARY, 0, ids).astype(np.int32)


def main() -> None:
    """Measures and prints."""
    with command_line.checking():
        subject = subjects.parse(_SUBJECT.value or "")
        command_line.check_heads()
        for kind in _ATTENTION.value:
            registry.get(kind)
    print(json.dumps(measure(subject)))


if __name__ == "__main__":
    command_line.run(main)

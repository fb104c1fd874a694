"""Everything a run consists of, made from its config and brought to the state of its newest checkpoint."""

import contextlib
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from trainer import check, input, metrics, optimizer, state, strategy, tokens
from trainer import config as configs
from trainer.evaluation import Evaluation
from trainer.event_files import EventFiles
from trainer.model import build_model
from trainer.saving import Saving
from trainer.skipped_steps import SkippedSteps
from trainer.step import TrainStep
from trainer.text import Documents
from trainer.workdir import Workdir


class Run:
    """A run that is ready to go on.

    Everything that can be refused is refused here, before any long work and before anything of an earlier run is
    changed. The order: the config by itself, the folder, the data, the model, the checkpoint.

    Args:
        config: Config of the run.
        workdir: Its folder.

    Attributes:
        step: Number of steps done.
        tokens: How text is numbered.
        corpus: The documents.
        windows: The training windows.
        model: The model, in the scope of `strategy`.
        skipped: The steps that were not finite, and the scale of the loss.

    Raises:
        ValueError: If the config, the data or the folder cannot be used.
    """

    def __init__(self, config: ConfigDict, workdir: str | os.PathLike[str]):
        check.check_config(config)
        self.config = config
        self.tokens = tokens.of_config(config.data)
        self.workdir = Workdir(workdir)
        with contextlib.ExitStack() as undo:
            self.workdir.lock()
            undo.callback(self.workdir.unlock)
            changed = self.workdir.check_config(config)
            if config.train.deterministic_ops:
                tf.config.experimental.enable_op_determinism()
            keras.utils.set_random_seed(config.train.seed)
            self.strategy = strategy.make_strategy(config.strategy, config.logical_devices)
            check.check_batch(config, self.strategy.num_replicas_in_sync)
            self.corpus = input.load_corpus(config.data)
            self.windows = self._cut_to_train()
            with self.strategy.scope():
                self.model = build_model(config)
                self._optimizer = optimizer.make_optimizer(
                    config.optimizer, config.train.steps, self.model.trainable_variables
                )
            self._variables = state.named_variables(self.model, self._optimizer)
            self._checkpoints = self.workdir.checkpoints(config.train.keep_checkpoints)
            self.skipped = SkippedSteps(config.train)
            self.step = 0
            self.step = self._restore()
            for field, (old, new) in changed.items():
                logging.warning("%s was %r before and is %r now", field, old, new)
            configs.write_config(config, self.workdir.config)
            self.metrics = metrics.Metrics(self.workdir.metrics, self.step)
            self._events = EventFiles(self.workdir.events, self.metrics.records)
            saved = self.step if self._checkpoints.steps() else None
            self._saving = Saving(self._checkpoints, config.train, self._capture, saved)
            self._evaluation: Evaluation | None = None
            undo.pop_all()

    def train_step(self) -> TrainStep:
        """Makes the training step."""
        settings = self.config.train
        return TrainStep(
            self.model,
            self._optimizer,
            self.strategy,
            accumulation_steps=settings.accumulation_steps,
            clip_norm=self.config.optimizer.clip_norm,
            jit_compile=settings.jit_compile,
            tokens=self.tokens,
        )

    def batches(self) -> tf.distribute.DistributedDataset:
        """The batches of the steps to come, without end."""
        settings = self.config.train
        dataset = input.train_dataset(self.windows, settings.batch_size, settings.seed, self.step)
        return self.strategy.experimental_distribute_dataset(dataset)

    def evaluate(self) -> dict[str, float]:
        """Evaluates the model as it is on the validation windows."""
        if self._evaluation is None:
            windows = self._cut(self.corpus.validation)
            settings = self.config.train
            self._evaluation = Evaluation(
                self.model, self.strategy, windows, settings.batch_size, settings.jit_compile, self.tokens
            )
        return self._evaluation.run()

    def record(self, split: str, **numbers: float) -> None:
        """Writes numbers of this step to the metrics and the event files.

        Raises:
            NotSaved: If the metrics cannot be written.
        """
        try:
            record = self.metrics.write(split, self.step, **numbers)
        except OSError as error:
            raise self._saving.failure(f"A metrics line of step {self.step}", error) from error
        self._events.write(record)

    def save(self) -> None:
        """Begins to write a checkpoint of this step, if there is none yet; the metrics up to it are durable before.

        The state is copied at once, and written by a thread while the run goes on. The call waits for the checkpoint
        before, if that is still under way. One that could not be written is reported here or by `look_after_saving`.

        Raises:
            NotSaved: If the metrics cannot be made durable.
        """
        self._saving.begin(self.step)

    def look_after_saving(self) -> None:
        """Reports if a checkpoint could not be written; to be called between two steps."""
        self._saving.look(self.step)

    def finish_saving(self) -> None:
        """Waits until there is a checkpoint of this step.

        Raises:
            NotSaved: If it cannot be written.
        """
        self._saving.finish(self.step)

    def keep_best(self) -> None:
        """Makes sure that there is a checkpoint of this step if its validation loss is the smallest so far."""
        losses = metrics.validation_losses(self.metrics.records)
        if not losses or min(losses, key=lambda step: (losses[step], step)) != self.step:
            return
        if self._saving.is_saved(self.step):
            self.prune()
        else:
            self.save()

    def prune(self) -> None:
        """Removes the checkpoints that are neither among the newest nor the best."""
        self._saving.wait(self.step)
        self._checkpoints.prune(metrics.validation_losses(self.metrics.records))

    def close(self) -> None:
        """Waits for the checkpoint under way, closes the files and lets go of the folder."""
        self._saving.wait(self.step)
        self.metrics.close()
        self._events.close()
        self.workdir.unlock()

    def _cut(self, documents: Documents, count: int = 0) -> input.Windows:
        return input.Windows(
            self.tokens.documents(documents), self.config.train.sequence_length, self.config.data.layout, count
        )

    def _cut_to_train(self) -> input.Windows:
        count = self.config.data.train_windows
        try:
            return self._cut(self.corpus.train, count)
        except ValueError as error:
            if not count:
                raise
            raise ValueError(f"`config.data.train_windows` asks for more than there is: {error}") from error

    def _capture(self) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[int, float]]:
        """Makes the metrics durable and copies the state to the host, for the checkpoint that stands for both."""
        self.metrics.sync()
        self._events.flush()
        description = {**self._description(), **self.skipped.state(), "step": self.step}
        return state.values(self._variables), description, metrics.validation_losses(self.metrics.records)

    def _description(self) -> dict[str, Any]:
        settings = self.config.train
        return {
            "seed": settings.seed,
            "examples_seen": self.step * settings.batch_size,
            "data": {"train": self.corpus.train.fingerprint, "validation": self.corpus.validation.fingerprint},
        }

    def _restore(self) -> int:
        found = self._checkpoints.newest(set_aside=True)
        if found is None:
            return 0
        arrays, description = found
        for part, fingerprint in self._description()["data"].items():
            if description["data"].get(part, fingerprint) != fingerprint:
                raise ValueError(
                    f"`config.data` must give the same {part} documents that the run in `workdir` began with. "
                    f"Received: other documents for {self.workdir.root}"
                )
        if description["step"] > self.config.train.steps:
            raise ValueError(
                f"`config.train.steps` must be at least the {description['step']} steps that the run in `workdir` has "
                f"done. Received: {self.config.train.steps}"
            )
        variables = self._variables
        if not description["step"]:
            # An optimizer begins with zeros, and weights that come from elsewhere come without one.
            variables, arrays = state.of_model(variables), state.of_model(arrays)
        state.assign(variables, arrays, str(self.workdir.root))
        self.skipped.restore(description)
        return description["step"]

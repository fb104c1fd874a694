"""The parts of a run, made from its config and restored from a checkpoint."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from trainer import config_checks, exits, tasks
from trainer.data import datasets, short_validation
from trainer.data.documents import Documents
from trainer.data.labelled_documents import LabelledDocuments
from trainer.distribution import cluster, dispatch, process_group, strategy
from trainer.initialization import source_run
from trainer.model import build_model
from trainer.optimization import optimizer
from trainer.storage import checkpoint_choice, going_back, named_variables, report_file, run_files
from trainer.storage.disk_run_files import DiskRunFiles
from trainer.storage.workdir import Workdir
from trainer.training import begun_fields, compilation, same_data, schedule_steps, tokens_seen
from trainer.training.evaluation import Evaluation
from trainer.training.skipped_steps import SkippedSteps
from trainer.training.step import TrainStep


class Run:
    """A run that is ready to train. With several processes, only the chief reads and writes its folder.

    All checks are made here, before any long work and before any file of an earlier run is changed: first of the config
    by itself, then of the folder, the data, the model and the checkpoint.

    Args:
        config: Config of the run.
        workdir: Folder of the run.
        checkpoint: The checkpoint to go on from: `newest`, or, to go back, `best` or the number of a step.
        dry: Whether nothing may be written, not even the folder: see `trainer.training.dry_run`.

    Attributes:
        step: Number of steps done.
        tokens_seen: Number of tokens that these steps have trained on.
        task: What is trained.
        corpus: The documents.
        examples: The training examples.
        model: The model, in the scope of `strategy`.
        process_group: The processes that compute each step together.
        dispatch: Runs the steps on replicas or workers.
        files: The files of the run; with several processes, only the chief writes them.
        skipped: Count of skipped steps, and the loss scale.
        train_step: The training step.
        retained: What must live as long as the run, because releasing it takes time: see `entry.keep`.

    Raises:
        ValueError: If the config, the data or the folder cannot be used.
    """

    def __init__(
        self,
        config: ConfigDict,
        workdir: str | os.PathLike[str],
        checkpoint: str = checkpoint_choice.NEWEST,
        dry: bool = False,
    ):
        config_checks.check_config(config)
        checkpoint_choice.check(checkpoint)
        self.config = config = config.copy_and_resolve_references()  # Empty fields are filled in below.
        self.retained: list[object] = []
        self._dry = dry
        self.task = tasks.from_config(config)
        self.workdir = Workdir(workdir)
        with contextlib.ExitStack() as undo:
            in_step = cluster.from_environment() if config.strategy == "multi_worker" else None
            changed: dict[str, tuple[Any, Any]] = {}
            source: source_run.SourceRun | None = None
            if in_step is None or in_step.is_chief:
                if not dry:
                    self.workdir.lock()
                    undo.callback(self.workdir.abandon)
                begun_fields.fill_in(config, self.workdir)
                source = source_run.begin(config, self.workdir)
                changed = self.workdir.check_config(config)
                # Otherwise a damaged one is found only after the last step.
                report_file.read(self.workdir.report, self.task.report_numbers)
                if not dry:
                    back = going_back.GoingBack(self.workdir, checkpoint, same_config=not changed)
                    checkpoint = back.checkpoint
            self.strategy = strategy.make_strategy(config.strategy, config.logical_devices, config.tpu_address)
            self.process_group = process_group.ProcessGroup(self.strategy, in_step)
            self.dispatch = dispatch.make_dispatch(self.strategy)
            config_checks.check_batch(config, self.strategy.num_replicas_in_sync)
            if config.train.deterministic_ops:
                tf.config.experimental.enable_op_determinism()
            begun_fields.broadcast(config, self.process_group)
            self.corpus = datasets.load_corpus(config.data)
            same_data.check(self.process_group, config, self.corpus)
            if isinstance(self.corpus.train, LabelledDocuments):
                config.data.labels = self.corpus.train.label_names
            for part in (self.corpus.train, self.corpus.validation):
                self.task.check_documents(config, part)
            if self.process_group.is_chief and isinstance(self.corpus.validation, Documents):
                short_validation.warn(config, self.corpus.validation)
            self.examples = self.task.train_examples(config, self.corpus.train)
            self._validation_examples: datasets.ExampleSet | None = None
            if config.train.eval_every >= 0 or config.export:  # What is refused is refused before the training.
                self.validation_examples()
            # Not earlier, because preparing a corpus, which only the first run does, takes random numbers.
            keras.utils.set_random_seed(config.train.seed)
            with self.strategy.scope():
                self.model = build_model(config)
                self._optimizer = optimizer.make_optimizer(
                    config.optimizer, config.train.steps, self.model.trainable_variables
                )
            self.train_step = TrainStep(
                self.model,
                self._optimizer,
                self.strategy,
                accumulation_steps=config.train.accumulation_steps,
                clip_norm=config.optimizer.clip_norm,
                jit_compile=compilation.is_wanted(config.train.jit_compile, self.strategy),
                task=self.task,
            )
            self._variables = named_variables.named_variables(self.model, self._optimizer)
            self.skipped = SkippedSteps(config.train)
            self.step, self._first_steps = 0, config.train.steps
            self.tokens_seen = tokens_seen.TokensSeen()
            self._begun_with: dict[str, Any] | None = None
            if self.process_group.is_chief:
                self.step, self._first_steps = self._restore(checkpoint, source)
            stands = [self.step, self._first_steps, self.tokens_seen.count]
            self.step, self._first_steps, self.tokens_seen.count = self.process_group.broadcast(stands)
            self._optimizer.learning_rate = schedule_steps.make(config, self._first_steps)
            self.skipped.restore(self.process_group.broadcast(self.skipped.state()))
            self.process_group.broadcast_variables(self._variables)
            for field, (old, new) in changed.items():
                logging.warning("%s was %r before and is %r now", field, old, new)
            self.files: run_files.RunFiles = run_files.NullRunFiles()
            if self.process_group.is_chief:
                updates = int(self._optimizer.iterations.numpy())
                for sentence in schedule_steps.warnings(config, self.workdir, self._first_steps, updates):
                    logging.warning("%s", sentence)
            if self.process_group.is_chief and not dry:
                said = back.carry_out(self.step)
                if said:
                    print(said, flush=True)
                self.files = DiskRunFiles(self.workdir, config, self.step, self._capture)
            self._evaluation: Evaluation | None = None
            undo.pop_all()

    def variables_by_use(self) -> dict[str, Sequence[keras.Variable]]:
        """Returns the variables of the run by use, to compute their memory."""
        average = self._optimizer.average
        return {
            "weights": self.model.variables,
            "optimizer_slots": self._optimizer.variables,
            "moving_average": average.variables if average is not None else (),
        }

    def evaluate_once(self, split: str, stop: exits.StopRequest) -> dict[str, float] | None:
        """Evaluates as `evaluate` does and records the numbers. All processes must call it.

        A stop request ends one process at once, several processes after a batch.

        Returns:
            The numbers; None, without evaluating, if the metrics have a line of this split and step.

        Raises:
            exits.Stopped: If a stop was requested.
        """
        if not self.process_group.broadcast(self.files.find(split, self.step) is None):
            return None
        if self.process_group.processes > 1:
            numbers = self.evaluate(lambda: stop.requested)
        else:
            with stop.interruptible():
                numbers = self.evaluate()
        self.record(split, **numbers)
        return numbers

    def evaluate(self, stop_requested: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Evaluates the model on the validation examples with its current weights; see `averaged`.

        Args:
            stop_requested: Called before each batch; once it is true in any process, all of them stop.

        Raises:
            exits.Stopped: If a stop was requested.
        """
        if self._evaluation is None:
            self._evaluation = self.make_evaluation(self.validation_examples())
        return self._evaluation.run(stop_requested)

    def validation_examples(self) -> datasets.ExampleSet:
        """Returns the examples of an evaluation."""
        if self._validation_examples is None:
            self._validation_examples = self.task.validation_examples(self.config, self.corpus.validation)
        return self._validation_examples

    def example_notes(self) -> tuple[str, ...]:
        """Returns sentences for people about what is left out of the documents, as far as examples are cut."""
        validation = self._validation_examples.notes if self._validation_examples is not None else ()
        train = (f"To train on: {note}" for note in self.examples.notes)
        return (*train, *(f"To validate on: {note}" for note in validation))

    def all_validation_tokens(self) -> int:
        """Number of tokens in the validation documents, also those that `config.train.eval_examples` leaves out."""
        return self.task.examples(self.config, self.corpus.validation).tokens

    def make_evaluation(self, examples: datasets.ExampleSet) -> Evaluation:
        """Makes an evaluation of the model on examples."""
        settings = self.config.train
        return Evaluation(
            self.model,
            self.strategy,
            examples,
            settings.batch_size,
            compilation.is_wanted(settings.jit_compile, self.strategy),
            self.task,
            self.process_group,
        )

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which the model has the moving averages of its weights, if there are any.

        Enter it where no signal can interrupt, and do not save inside.
        """
        average = self._optimizer.average
        return contextlib.nullcontext() if average is None else average.in_place()

    def record(self, split: str, **numbers: float) -> None:
        """Writes numbers of this step to the metrics and the event files, with tokens, epochs and the time.

        Raises:
            NotSaved: If the metrics cannot be written.
        """
        stands = {
            "tokens_seen": self.tokens_seen.count,
            "epoch": self.step * self.config.train.batch_size / len(self.examples),
            "wall_time": round(time.time(), 3),
        }
        self.files.record(split, self.step, {**numbers, **stands})

    def end(self) -> None:
        """Marks the run as done, so that repeating a command that went back goes back again."""
        if self.process_group.is_chief:
            going_back.forget(self.workdir)

    def close(self) -> None:
        """Waits for the checkpoint that is being written, closes the files and unlocks the folder."""
        self.files.close(self.step)
        self.workdir.unlock()

    def _capture(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Copies the state to the host."""
        return named_variables.values(self._variables), {
            **self._description(),
            **self.skipped.state(),
            **self.tokens_seen.state(),
            "step": self.step,
        }

    def _description(self) -> dict[str, Any]:
        settings = self.config.train
        return {
            "seed": settings.seed,
            "examples_seen": self.step * settings.batch_size,
            schedule_steps.FIRST_STEPS: self._first_steps,
            "corpus": self.corpus.name,
            "data": {"train": self.corpus.train.fingerprint, "validation": self.corpus.validation.fingerprint},
            **({} if self._begun_with is None else {"begun_with": self._begun_with}),
        }

    def _restore(self, checkpoint: str, source: source_run.SourceRun | None) -> tuple[int, int]:
        """Restores a checkpoint, or begins; returns the step and `config.train.steps` of the first start."""
        metric = self.config.train.best_metric
        found = checkpoint_choice.read_to_go_on(self.workdir, checkpoint, metric, set_aside=not self._dry)
        first = schedule_steps.first_steps(self.config, self.workdir, found and found[1])
        if found is None:
            if source is not None:
                print(source.give(self.model, self._optimizer.average), flush=True)
                self._begun_with = source.description
            return 0, first
        arrays, description = found
        config_checks.check_goes_on(self.config, self.workdir.root, self._description(), description)
        is_new = not description["step"]
        named_variables.restore(self._variables, arrays, self._optimizer.average, is_new, str(self.workdir.root))
        self.skipped.restore(description)
        self._begun_with = description.get("begun_with")
        updates, settings = int(self._optimizer.iterations.numpy()), self.config.train
        self.tokens_seen = tokens_seen.restored(description, updates, self.examples, settings.batch_size, settings.seed)
        return description["step"], first

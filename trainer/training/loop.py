"""The training loop: steps, metrics, checkpoints and evaluations, from the current step of a run to its last.

After a step come its metrics line, its checkpoint and its evaluation, as far as they are due. A restarted run goes on
from its newest checkpoint; if an evaluation was due at that step and is not in the metrics, it comes first. The step of
the best evaluation so far is saved, too. Checkpoints are written while the next steps are computed; with
`config.train.checkpoint_minutes` they are also due by the clock. After an evaluation, early stopping may end the run.

With several processes, all take the same decisions after the same steps, and only the chief writes.
"""

import contextlib
import operator
import sys

from trainer import exits
from trainer.training import early_stopping, memory
from trainer.training.checkpoint_timer import CheckpointTimer
from trainer.training.profiling import ProfileWindow
from trainer.training.progress import Heartbeat, Progress, shown
from trainer.training.run import Run
from trainer.training.steps import Steps, unknown_ids

_NAMED_IDS = 5  # Number of ids that a message names.


def train(run: Run, stop: exits.StopRequest) -> int:
    """Trains until the last step.

    Args:
        run: The run, at any step.
        stop: Request to stop earlier.

    Returns:
        The exit code of the process: `exits.DONE`, `exits.NOT_FINITE` or `exits.STOPPED`, each with the last good
        state saved, or `exits.NOT_SAVED`.
    """
    _say_what_begins(run)
    try:
        return _until_it_ends(run, stop)
    except exits.EndOfRun as error:
        if str(error):
            print(error, file=sys.stderr, flush=True)
        return error.code


def _until_it_ends(run: Run, stop: exits.StopRequest) -> int:
    try:
        run.files.prune(run.step)  # A run that was killed may have left too many.
        run.files.save(run.step)
        _evaluate_if_due(run, stop)
        return _steps(run, stop)
    except exits.Stopped:
        _finish(run)
        _say(run, f"Stopped at step {run.step}. The state is saved; the same command goes on from there.")
        run.process_group.leave()
        return exits.STOPPED


def _steps(run: Run, stop: exits.StopRequest) -> int:
    settings = run.config.train
    if run.step == settings.steps:
        _finish(run)
        _say(
            run,
            f"The run is done: all its {settings.steps} steps were made before, and nothing was trained. "
            "A larger `config.train.steps` takes it further.",
        )
        return exits.DONE
    if _ends_early(run):
        return exits.DONE
    steps, timer = Steps(run), CheckpointTimer(settings.checkpoint_minutes)
    profile = ProfileWindow(run.workdir.events, settings.profile_start, settings.profile_steps)
    progress = Progress(settings.steps)
    with contextlib.closing(profile), Heartbeat(settings.steps) as heartbeat:
        while run.step < settings.steps:
            must_end = run.files.look(run.step)
            stops, saves = run.process_group.any(stop.requested or must_end), timer.is_due()
            if steps.started == run.step:  # No step is in flight.
                if stops:
                    raise exits.Stopped
                if saves:
                    run.files.save(run.step)
                    timer.restart()
                    saves = False
            profile.before_step(run.step)
            progress.begin()
            heartbeat.step = run.step + 1
            result = steps.next(start_more=not (stops or saves))
            loss, norm = float(result.loss), float(result.gradient_norm)
            if not run.skipped.may_go_on(run.step + 1, loss, norm, bool(result.applied)):
                _finish(run)
                _say_not_finite(run, loss, norm, unknown_ids(run))
                run.process_group.leave()
                return exits.NOT_FINITE
            run.step += 1
            tokens = float(result.sums["tokens"])
            run.tokens_seen.add(tokens, bool(result.applied))
            progress.end(tokens)
            heartbeat.step = None
            if _is_due(run.step, settings.log_every, settings.steps) or run.step == 1:
                sums = {name: float(total) for name, total in result.sums.items()}
                numbers = {"loss": result.mean_loss(run.task), **run.task.metrics(sums)}
                line, speed = progress.line(run.step, numbers)
                run.record(
                    "train",
                    **numbers,
                    tokens_per_second=speed,
                    learning_rate=float(result.learning_rate),
                    gradient_norm=norm,
                    **run.skipped.numbers(),
                    **({"peak_memory_mib": memory.peak_mib()} if settings.log_memory else {}),
                )
                _say(run, line)
            if _is_due(run.step, settings.checkpoint_every, settings.steps):
                run.files.save(run.step)
                timer.restart()
            if _evaluate_if_due(run, stop) and run.step < settings.steps and _ends_early(run):
                return exits.DONE
        _finish(run)
    _say(run, f"Done after {settings.steps} steps. Peak memory of the process: {memory.peak_mib():,.0f} MiB.")
    return exits.DONE


def _ends_early(run: Run) -> bool:
    """Whether early stopping ends the run. If so, saves its state and says why.

    When such a run is started again, it finds the same reason in its metrics and ends at once.
    """
    settings = run.config.train
    if not settings.early_stopping_evaluations:
        return False
    reason = run.process_group.broadcast(early_stopping.reason(settings, run.files.records()))
    if reason is None:
        return False
    _finish(run)
    _say(
        run,
        f"Done, ended early after step {run.step} of {settings.steps}: {reason}. The state of this step is saved, and "
        "what the config asks for at the end is made of it; --checkpoint=best of the other commands reads that of the "
        f"best validation {settings.best_metric.replace('_', ' ')}. To go on, raise "
        f"`config.train.early_stopping_evaluations`, which is {settings.early_stopping_evaluations}, or set it to 0.",
    )
    return True


def _finish(run: Run) -> None:
    """Waits until the state is saved. If it cannot be, all processes end with the same code and the chief says why.

    Raises:
        exits.EndOfRun: If the state cannot be saved.
    """
    ending: exits.EndOfRun | None = None
    try:
        run.files.finish(run.step)
    except exits.EndOfRun as error:
        ending = error
    code = run.process_group.broadcast(ending and ending.code)
    if code is not None:
        run.process_group.leave()
        raise ending or {end.code: end for end in (exits.NotSaved, exits.NotFinite)}[code]()


def _evaluate_if_due(run: Run, stop: exits.StopRequest) -> bool:
    """Evaluates if an evaluation is due and the metrics do not have it yet. Returns whether it did."""
    settings = run.config.train
    wanted = run.step > 0 and settings.eval_every >= 0
    due = wanted and _is_due(run.step, settings.eval_every, settings.steps)
    if not due:
        return False
    with run.averaged():
        numbers = run.evaluate_once("validation", stop)
    if numbers is None:
        return False
    metrics = {name: numbers[name] for name in ("loss", *run.task.metric_directions) if name in numbers}
    _say(run, f"step {run.step}: validation {shown(metrics)}")
    run.files.keep_best(run.step)
    return True


def _is_due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def _say_what_begins(run: Run) -> None:
    limit = run.config.data.train_windows
    for note in (*run.corpus.notes, *run.example_notes()):
        _say(run, note)
    selection = f" ({limit} example(s) of them, {run.examples.tokens:,} tokens)" if limit else ""
    _say(
        run,
        f"{run.corpus.name}: {run.corpus.train.size} to train on{selection}, {run.corpus.validation.size} to validate "
        f"on. "
        f"{run.model.count_params():,} parameters, {run.strategy.num_replicas_in_sync} replica(s). "
        f"{'Beginning' if run.step == 0 else f'Going on after step {run.step}'} in {run.workdir.root}.",
    )


def _say(run: Run, text: str) -> None:
    """Prints a text in the chief only."""
    if run.process_group.is_chief:
        print(text, flush=True)


def _say_not_finite(run: Run, loss: float, norm: float, unknown: list[int]) -> None:
    cause = "A lower learning rate, a longer warm-up or stronger clipping may help"
    if unknown:
        named = ", ".join(map(str, unknown[:_NAMED_IDS])) + (", ..." if len(unknown) > _NAMED_IDS else "")
        name, size = min(run.task.vocabularies(run.config).items(), key=operator.itemgetter(1))
        cause = (
            f"Its batch has ids outside the vocabulary, {named}: `config.model.{name}` must be above all ids, and none "
            f"may be negative. Received: {size}"
        )
    print(
        f"Stopped: loss or gradient of step {run.step + 1} is not finite (loss {loss}, gradient norm {norm}). "
        f"The state after step {run.step} is saved in {run.workdir.root}. {cause}; the same command stops there again, "
        "`--checkpoint=best` or `--checkpoint=STEP` goes back to an earlier one.",
        file=sys.stderr,
        flush=True,
    )

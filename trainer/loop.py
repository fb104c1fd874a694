"""The training loop: steps, metrics, checkpoints and evaluations, from where the run stands to its last step.

What is due at a step is done in this order: metrics line, checkpoint, evaluation. A run that is killed and restarted
goes on from its newest checkpoint; evaluations that are due at that step and not in the metrics are done first.
"""

import contextlib
import sys

import tensorflow as tf

from trainer import exits, memory
from trainer.profile_window import ProfileWindow
from trainer.progress import Progress
from trainer.run import Run
from trainer.sign_of_life import SignOfLife


def train(run: Run, stop: exits.StopRequest) -> int:
    """Trains until the last step.

    Args:
        run: The run, at any step.
        stop: Whether to stop earlier.

    Returns:
        What the process should return: `exits.DONE`, `exits.NOT_FINITE` or `exits.STOPPED`. In each case the state is
        saved.
    """
    _say_what_begins(run)
    try:
        run.save()
        _evaluate_if_due(run, stop)
        return _steps(run, stop)
    except exits.Stopped:
        run.save()
        print(f"Stopped at step {run.step}. The state is saved; the same command goes on from there.", flush=True)
        return exits.STOPPED


def _steps(run: Run, stop: exits.StopRequest) -> int:
    settings = run.config.train
    if run.step == settings.steps:
        return exits.DONE
    train_step, batches = run.train_step(), iter(run.batches())
    progress = Progress(settings.steps)
    profile = ProfileWindow(run.workdir.events, settings.profile_start, settings.profile_steps)
    with contextlib.closing(profile), SignOfLife(settings.steps) as sign:
        while run.step < settings.steps:
            if stop.requested:
                raise exits.Stopped
            profile.before_step(run.step)
            progress.begin()
            sign.step = run.step + 1
            ids, mask = next(batches)
            result = train_step(ids, mask, tf.constant([settings.seed, run.step], tf.int32))
            if not bool(result.applied):
                run.save()
                _say_not_finite(run, float(result.loss), float(result.gradient_norm))
                return exits.NOT_FINITE
            run.step += 1
            progress.end(float(result.tokens))
            sign.step = None
            if _is_due(run.step, settings.log_every, settings.steps) or run.step == 1:
                loss, bits = float(result.loss), float(result.bits_per_byte)
                line, speed = progress.line(run.step, loss, bits)
                print(line, flush=True)
                run.record(
                    "train",
                    loss=loss,
                    bits_per_byte=bits,
                    tokens_per_second=speed,
                    learning_rate=float(result.learning_rate),
                    gradient_norm=float(result.gradient_norm),
                    **({"peak_memory_mib": memory.peak_mib()} if settings.log_memory else {}),
                )
            if _is_due(run.step, settings.checkpoint_every, settings.steps):
                run.save()
            _evaluate_if_due(run, stop)
    print(f"Done after {settings.steps} steps. Peak memory of the process: {memory.peak_mib():,.0f} MiB.", flush=True)
    return exits.DONE


def _evaluate_if_due(run: Run, stop: exits.StopRequest) -> None:
    settings = run.config.train
    wanted = run.step > 0 and settings.eval_every >= 0
    due = wanted and _is_due(run.step, settings.eval_every, settings.steps)
    if not due or run.metrics.has("validation", run.step):
        return
    with run.averaged(), stop.interruptible():
        numbers = run.evaluate()
    print(
        f"step {run.step}: validation loss {numbers['loss']:.4f}, {numbers['bits_per_byte']:.4f} bits/byte", flush=True
    )
    run.record("validation", **numbers)


def _is_due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def _say_what_begins(run: Run) -> None:
    kept = run.config.data.train_windows
    of_those = f" ({kept} window(s) of them, {run.windows.tokens:,} tokens)" if kept else ""
    print(
        f"{run.corpus.name}: {run.corpus.train.num_bytes:,} bytes to train on{of_those}, "
        f"{run.corpus.validation.num_bytes:,} to validate on. "
        f"{run.model.count_params():,} parameters, {run.strategy.num_replicas_in_sync} replica(s). "
        f"{'Beginning' if run.step == 0 else f'Going on after step {run.step}'} in {run.workdir.root}.",
        flush=True,
    )


def _say_not_finite(run: Run, loss: float, norm: float) -> None:
    print(
        f"Stopped: loss or gradient of step {run.step + 1} is not finite (loss {loss}, gradient norm {norm}). "
        f"The state after step {run.step} is saved in {run.workdir.root}. A lower learning rate, a longer warm-up or "
        "stronger clipping may help; the same command stops there again.",
        file=sys.stderr,
        flush=True,
    )

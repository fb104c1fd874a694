"""The dry run, `python -m trainer.task --dry_run`: estimates what a run would take from a few steps in memory."""

import json
import math
import statistics
import time
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import exits
from trainer.training import memory
from trainer.training.evaluation import Evaluation
from trainer.training.progress import Heartbeat, duration
from trainer.training.run import Run
from trainer.training.steps import Steps

_TIMED_STEPS = 5
_TIMED_BATCHES = 3  # Batches of an evaluation that are timed.
_ENOUGH_SECONDS = 30.0  # After so much time, no more steps are made.


def show(run: Run) -> int:
    """Prints what a run would take, in words and, as the last line, as one JSON object.

    Args:
        run: A dry run. Its state in memory changes, that on the disk does not.

    Returns:
        The exit code of the process.
    """
    found = {**_counts(run), **_measure(run)}
    found.update(_time(run, found))
    if run.process_group.is_chief:
        print(_as_text(run, found))
        print(json.dumps(found), flush=True)
    run.process_group.barrier()  # The others would miss a process that ends earlier.
    return exits.DONE


def _counts(run: Run) -> dict[str, Any]:
    """Counts the parameters, variables and data."""
    settings, number = run.config.train, len(run.examples)
    seen = settings.steps * settings.batch_size / number
    return {
        "step": run.step,
        "steps": settings.steps,
        "replicas": run.strategy.num_replicas_in_sync,
        "parameters": run.model.count_params(),
        "trainable_parameters": sum(int(np.prod(variable.shape)) for variable in run.model.trainable_variables),
        **{f"{use}_mib": _mib(variables) for use, variables in run.variables_by_use().items()},
        "gradients_mib": _mib(run.model.trainable_variables),
        "examples_an_epoch": number,
        "tokens_an_epoch": run.examples.tokens,
        "epochs": seen,
        "tokens": round(seen * run.examples.tokens),
    }


def _measure(run: Run) -> dict[str, Any]:
    """Makes a few steps: the first one traces and compiles, the others are timed."""
    steps, step = Steps(run), run.step
    before = memory.resident_mib()
    seconds: list[float] = []
    with Heartbeat(run.config.train.steps) as heartbeat:
        more = True
        while more:
            heartbeat.step = step + 1
            began = time.perf_counter()
            loss = steps.start()().mean_loss(run.task)
            seconds.append(time.perf_counter() - began)
            step, heartbeat.step = step + 1, None
            if len(seconds) == 1:
                first_loss = loss
                memory.forget_peak()
                _forget_device_peaks(run)
            enough = len(seconds) > _TIMED_STEPS or sum(seconds[1:]) > _ENOUGH_SECONDS
            more = run.process_group.broadcast(not enough)  # All processes make equally many steps.
    found = {
        "loss": first_loss if math.isfinite(first_loss) else None,
        "first_step_seconds": seconds[0],
        "timed_steps": len(seconds) - 1,
        "seconds_a_step": statistics.median(seconds[1:]),
        "resident_before_mib": before,
        "peak_mib": memory.peak_mib(),
    }
    peaks = [tf.config.experimental.get_memory_info(device)["peak"] / 2**20 for device in _devices(run)]
    return {**found, **({"device_peak_mib": max(peaks)} if peaks else {})}


def _time(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    """Times a few batches of an evaluation and estimates the time of the remaining run."""
    settings = run.config.train
    evaluations, batches, seconds = _evaluations(run), 0, 0.0
    if evaluations:
        examples = run.validation_examples()
        batches = -(-len(examples) // settings.batch_size)
        few = run.make_evaluation(examples.spread(_TIMED_BATCHES * settings.batch_size))
        _time_batches(few)  # The first one traces and compiles.
        begins, batch = _time_batches(few)
        seconds = begins + batches * batch + _time_generation(run, few)
    return {
        "evaluations": evaluations,
        "batches_an_evaluation": batches,
        "seconds_an_evaluation": seconds,
        "seconds_left": (settings.steps - run.step) * found["seconds_a_step"] + evaluations * seconds,
    }


def _time_batches(evaluation: Evaluation) -> tuple[float, float]:
    """Returns the seconds until the first batch of an evaluation, and the median seconds of a batch."""
    times = [time.perf_counter()]

    def look_at_the_clock() -> bool:
        times.append(time.perf_counter())
        return False

    evaluation.score(look_at_the_clock)  # The evaluation calls the function before each batch.
    times.append(time.perf_counter())
    begins, *batches = np.diff(times).tolist()
    return begins, statistics.median(batches)


def _time_generation(run: Run, few: Evaluation) -> float:
    """Returns the seconds in which an evaluation generates outputs; those of new weights end late, hence at most."""
    chosen = run.task.generated_examples(run.validation_examples())
    if chosen is None or few.generated is None:
        return 0.0
    few.generated.run()  # The first one traces and compiles.
    began = time.perf_counter()
    few.generated.run()
    return (time.perf_counter() - began) * len(chosen) / few.generated.number


def _evaluations(run: Run) -> int:
    """Number of remaining evaluations."""
    settings = run.config.train
    if settings.eval_every < 0 or run.step >= settings.steps:
        return 0
    every = settings.eval_every or settings.steps
    return -(-settings.steps // every) - run.step // every


def _devices(run: Run) -> list[str]:
    """Returns the GPUs of this process if the run uses them. TensorFlow reports no memory of other accelerators."""
    used = [device for device in getattr(run.strategy.extended, "worker_devices", ()) if "GPU" in device.upper()]
    return [f"GPU:{index}" for index in range(len(tf.config.list_logical_devices("GPU")))] if used else []


def _forget_device_peaks(run: Run) -> None:
    for device in _devices(run):
        tf.config.experimental.reset_memory_stats(device)


def _mib(variables: Iterable[keras.Variable]) -> float:
    sizes = (int(np.prod(v.shape)) * tf.as_dtype(keras.backend.standardize_dtype(v.dtype)).size for v in variables)
    return sum(sizes) / 2**20


def _as_text(run: Run, found: dict[str, Any]) -> str:
    state = found["weights_mib"] + found["optimizer_slots_mib"] + found["moving_average_mib"]
    average = f", moving average {found['moving_average_mib']:,.2f}" if found["moving_average_mib"] else ""
    if "device_peak_mib" in found:
        rest = found["device_peak_mib"] - state - found["gradients_mib"]
        peak = f"{found['device_peak_mib']:,.0f} MiB at most on one GPU"
    else:
        here = run.strategy.num_replicas_in_sync // run.process_group.processes
        rest = found["peak_mib"] - found["resident_before_mib"] - here * found["gradients_mib"]
        peak = (
            f"{found['peak_mib']:,.0f} MiB of the process at most, "
            f"{found['resident_before_mib']:,.0f} of them before the first step"
        )
    left = found["steps"] - found["step"]
    begins = f"would go on after step {found['step']}" if found["step"] else "would begin"
    to = f"{begins}, to step {found['steps']}" if left else f"is at its last step, {found['step']}"
    lines = [
        f"Dry run, nothing is written: a run in {run.workdir.root} {to}.",
        f"Parameters  {found['parameters']:,}, of which {found['trainable_parameters']:,} are trained",
        f"Memory      MiB a replica, {found['replicas']} replica(s): weights {found['weights_mib']:,.2f}, gradients "
        f"{found['gradients_mib']:,.2f}, optimizer slots {found['optimizer_slots_mib']:,.2f}{average}",
        f"            measured in {found['timed_steps']} step(s): {peak}; so activations, temporary arrays and the "
        f"program take about {max(rest, 0.0):,.0f}",
        f"Data        an epoch is {found['examples_an_epoch']:,} examples, {found['tokens_an_epoch']:,} tokens; "
        f"{found['steps']} steps are {found['epochs']:.3g} epochs, about {found['tokens']:,} tokens",
        f"Time        {found['seconds_a_step']:.3g} s a step (median; the first, which is traced, "
        f"{found['first_step_seconds']:.3g} s); {found['evaluations']} evaluation(s) of "
        f"{found['batches_an_evaluation']} batch(es), {found['seconds_an_evaluation']:.3g} s each",
        f"            {duration(found['seconds_left'])} for the {left} step(s) that are left, "
        "with their evaluations and without the start, checkpoints, and what is done after the last step",
        f"Loss        {found['loss']:.4f} nats a {run.task.unit} in the first step"
        if found["loss"] is not None
        else "Loss        not finite in the first step, or without targets",
    ]
    return "\n".join(lines)

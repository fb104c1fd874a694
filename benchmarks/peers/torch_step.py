"""Time and memory of one training step of a PyTorch model, measured as in `benchmarks.train_step`."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.measuring.memory import resident_mib
from benchmarks.measuring.sizes import VOCABULARY, Sizes
from trainer.training.memory import peak_mib

_SHORT = 256


def measure(
    build: Callable[[Sizes], torch.nn.Module], sizes: Sizes, batch: int, precision: str, repeat: int
) -> dict[str, Any]:
    """Builds the model, and runs one short step, one full step that is not timed and `repeat` timed steps.

    Args:
        build: makes a model from ids `[B, L]` to logits `[B, L, V]`.
        sizes: of the model.
        batch: B.
        precision: `"float32"`, `"bfloat16"` for automatic casts, or `"bfloat16_forward"` for casts only in the forward
            pass.
        repeat: timed steps.

    Returns:
        `tokens_per_s` (median), `step_s`, `peak_mib`, `base_mib`, `parameters` and the `loss` of the first step at full
        length.

    Raises:
        FloatingPointError: if a loss is not finite.
    """
    model = new_model(build, sizes, seed=0)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (batch, sizes.length + 1))

    def timed(length: int) -> tuple[float, float]:
        start = time.perf_counter()
        loss = training_step(model, torch.from_numpy(ids[:, : length + 1]), precision)
        seconds = time.perf_counter() - start
        model.zero_grad(set_to_none=True)  # So that the base does not include gradients.
        if not np.isfinite(loss):
            raise FloatingPointError(f"The loss at length {length} is {loss}.")
        return seconds, loss

    timed(min(_SHORT, sizes.length))
    base = resident_mib()
    _, loss = timed(sizes.length)
    median = statistics.median(timed(sizes.length)[0] for _ in range(repeat))
    return {
        "tokens_per_s": batch * sizes.length / median,
        "step_s": median,
        "peak_mib": peak_mib(),
        "base_mib": base,
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": loss,
    }


def new_model(build: Callable[[Sizes], torch.nn.Module], sizes: Sizes, seed: int) -> torch.nn.Module:
    """Makes a model in training mode, and lets PyTorch use all cores; `seed` decides the weights and later draws."""
    torch.manual_seed(seed)
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # PyTorch's default is one thread for each physical core.
    return build(sizes).train()


def casts(precision: str) -> torch.autocast:
    """The automatic casts of a precision as in `measure`, if it has any."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def mean_loss(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy on ids `[B, L + 1]` in nats."""
    return functional.cross_entropy(model(ids[:, :-1]).float().flatten(0, 1), ids[:, 1:].flatten())


def training_step(model: torch.nn.Module, ids: torch.Tensor, precision: str) -> float:
    """Runs the model forward and backward, and replaces its gradients.

    Args:
        model: from ids `[B, L]` to logits `[B, L, V]`.
        ids: integers `[B, L + 1]`.
        precision: as in `measure`.

    Returns:
        The mean cross-entropy in nats.
    """
    model.zero_grad(set_to_none=True)
    with casts("bfloat16" if precision == "bfloat16_forward" else precision):
        loss = mean_loss(model, ids)
    # The backward pass needs the casts too: a reversible model computes its layers again, and must get equal values.
    with casts(precision):
        loss.backward()
    return loss.item()

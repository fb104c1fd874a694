"""Time and memory of one training step of a PyTorch model, measured as in `benchmarks.train_step`."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.measuring import steps
from benchmarks.measuring.sizes import Sizes


def measure(peer: str, sizes: Sizes, batch: int, precision: str, repeat: int) -> dict[str, Any]:
    """Builds the model of a peer, and measures its step.

    Args:
        peer: its name.
        sizes: of the model.
        batch: B.
        precision: `"float32"`, `"bfloat16"` for automatic casts, or `"bfloat16_forward"` for casts only in the forward
            pass.
        repeat: timed steps.

    Returns:
        What `benchmarks.measuring.steps.measure` returns, and `parameters`.
    """
    model = new_model(peer, sizes, seed=0)

    def step(ids: np.ndarray, index: int) -> float:
        loss = training_step(model, torch.from_numpy(ids).long(), precision)
        model.zero_grad(set_to_none=True)  # So that the base does not include gradients.
        return loss

    parameters = sum(p.numel() for p in model.parameters())
    return {**steps.measure(step, batch, sizes.length, repeat), "parameters": parameters}


def new_model(peer: str, sizes: Sizes, seed: int) -> torch.nn.Module:
    """Makes a model from ids `[B, L]` to logits `[B, L, V]` in training mode, and lets PyTorch use all cores.

    Args:
        peer: its name.
        sizes: of the model.
        seed: of the weights and of later draws.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # PyTorch's default is one thread for each physical core.
    return _model_class(peer)(sizes).train()


def _model_class(peer: str) -> Callable[[Sizes], torch.nn.Module]:
    """The class of a peer's model; only its own packages are imported."""
    if peer == "huggingface":
        from benchmarks.peers.huggingface import HuggingFaceReformer

        return HuggingFaceReformer
    if peer == "lucidrains":
        from benchmarks.peers.lucidrains import LucidrainsReformer

        return LucidrainsReformer
    if peer == "performer_pytorch":
        from benchmarks.peers.performer_lm import PerformerPytorchLM

        return PerformerPytorchLM
    from benchmarks.peers.torch_exact import ExactTransformer

    return ExactTransformer


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

"""Trains a PyTorch model, for `benchmarks.points.quality`."""

import numpy as np
import torch

from benchmarks.measuring.sizes import Sizes
from benchmarks.measuring.subjects import BETAS, CLIP_NORM, EPSILON, Subject
from benchmarks.peers import torch_step


class TorchLearner:
    """A peer with Adam at a constant rate.

    Args:
        sizes: of the model.
        subject: a peer and its precision.
        rate: of Adam.
        seed: of the weights and of all randomness.
    """

    def __init__(self, sizes: Sizes, subject: Subject, rate: float, seed: int):
        self.model = torch_step.new_model(subject.name, sizes, seed)
        self._precision = subject.precision
        self._optimizer = torch.optim.Adam(self.model.parameters(), rate, BETAS, EPSILON)

    def step(self, ids: np.ndarray, index: int) -> float:
        """Makes step `index` on ids `[1, L + 1]`, and returns the loss before the update, nats a token."""
        loss = torch_step.training_step(self.model, torch.from_numpy(ids).long(), self._precision)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self._optimizer.step()
        return loss

    def evaluate(self, ids: np.ndarray) -> float:
        """The loss on ids `[1, L + 1]`, nats a token."""
        self.model.eval()
        with torch.no_grad(), torch_step.casts(self._precision):
            loss = torch_step.mean_loss(self.model, torch.from_numpy(ids).long())
        self.model.train()
        return loss.item()

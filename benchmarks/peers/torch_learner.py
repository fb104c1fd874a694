"""A PyTorch model that is trained, for `benchmarks.quality_point`."""

import os

import numpy as np
import torch

from benchmarks.peers import torch_step
from benchmarks.peers.builders import builder
from benchmarks.peers.sizes import Sizes
from benchmarks.subjects import BETAS, CLIP_NORM, EPSILON, Subject


class TorchLearner:
    """A peer with Adam at a constant rate.

    Args:
        sizes: of the model.
        subject: a peer and its precision.
        rate: of Adam.
        seed: of the weights and of all randomness.
    """

    def __init__(self, sizes: Sizes, subject: Subject, rate: float, seed: int):
        torch.manual_seed(seed)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.model = builder(subject.name)(sizes).train()
        self._precision = subject.precision
        self._optimizer = torch.optim.Adam(self.model.parameters(), rate, BETAS, EPSILON)

    def step(self, ids: np.ndarray, index: int) -> float:
        """Makes step `index` on ids `[1, L + 1]`, and returns its loss before that, nats a token."""
        loss = torch_step.training_step(self.model, torch.from_numpy(ids).long(), self._precision)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self._optimizer.step()
        return loss

    def evaluate(self, ids: np.ndarray) -> float:
        """The loss on ids `[1, L + 1]`, nats a token."""
        self.model.eval()
        tokens = torch.from_numpy(ids).long()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bfloat16"):
            logits = self.model(tokens[:, :-1])
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        self.model.train()
        return loss.item()

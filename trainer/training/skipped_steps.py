"""Skips and counts steps whose loss or gradient is not finite, up to a limit."""

import math
import sys
from typing import Any

from ml_collections import ConfigDict

from trainer.optimization.loss_scale import LEAST, LossScale


class SkippedSteps:
    """Decides whether a run goes on after a step, and counts the skipped steps of the whole run.

    A skipped step changes no variable, but it counts as a step: data and seeds advance.

    If the loss is finite and the gradient is not, the loss scale was too large for float16. The step is skipped and the
    scale is halved; the step counts only if the scale is at its least already. If the loss is not finite, the scale is
    not the cause and stays.

    Args:
        settings: `config.train` of a run.

    Attributes:
        count: Number of skipped steps that count.
        loss_scale: The loss scale in mixed_float16; None in the other precisions.
    """

    def __init__(self, settings: ConfigDict):
        self.count = 0
        self.loss_scale = (
            LossScale(settings.loss_scale, settings.loss_scale_growth_steps)
            if settings.precision == "mixed_float16"
            else None
        )
        self._limit = settings.max_skipped_steps

    def may_go_on(self, step: int, loss: float, norm: float, applied: bool) -> bool:
        """Counts a step, and reports on standard error if it was skipped.

        Args:
            step: Number of the step, counted from 1.
            loss: Nats a token.
            norm: Global norm of the gradient.
            applied: Whether both were finite and the update was made.

        Returns:
            False if the run must stop before this step; then nothing was counted.
        """
        scale = self.loss_scale
        if applied:
            if scale is not None:
                scale.count_good_step()
            return True
        overflow = scale is not None and math.isfinite(loss)
        if scale is not None and overflow and scale.value > LEAST:
            scale.halve()
            _say(f"Step {step} is skipped: its gradient overflowed float16. The loss scale is {scale.value:.0f} now.")
            return True
        if self.count >= self._limit:
            return False
        if scale is not None and overflow:
            scale.halve()  # Resets the count of good steps; the scale stays at its least.
        self.count += 1
        _say(
            f"Step {step} is skipped: its loss or gradient is not finite (loss {loss}, gradient norm {norm}). "
            f"{self.count} of at most {self._limit} of the whole run (`config.train.max_skipped_steps`)."
        )
        return True

    def numbers(self) -> dict[str, float]:
        """Returns the numbers for the metrics line of a step."""
        counted = {"skipped_steps": self.count} if self._limit else {}
        return {**counted, **({"loss_scale": self.loss_scale.value} if self.loss_scale else {})}

    def state(self) -> dict[str, Any]:
        """Returns the entries of a checkpoint's description."""
        scale = {"loss_scale": self.loss_scale.state()} if self.loss_scale else {}
        return {"skipped_steps": self.count, **scale}

    def restore(self, description: dict[str, Any]) -> None:
        """Restores the state in the description of a checkpoint, which may be older or of another precision."""
        self.count = description.get("skipped_steps", 0)
        if self.loss_scale is not None and "loss_scale" in description:
            self.loss_scale.restore(description["loss_scale"])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

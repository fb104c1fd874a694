"""The models that `benchmarks.performer_weights` compares."""

from typing import Any

REDRAW_EVERY = 20
"""Training steps after which random features are redrawn, in the models that redraw them."""

BASE = "base"
"""The model with exact attention whose weights the others begin with."""

_SOFTMAX = {"features": "softmax", "num_features": 256}
_SMREG = {"features": "softmax_regularized", "num_features": 256}
_REDRAWN = {"redraw_every": REDRAW_EVERY}
SCRATCH = "scratch"

VARIANTS: dict[str, dict[str, Any] | None] = {
    "exact": None,
    "softmax-64": {**_SOFTMAX, "num_features": 64},
    "softmax-256": _SOFTMAX,
    "softmax-1024": {**_SOFTMAX, "num_features": 1024},
    "softmax-redrawn": {**_SOFTMAX, **_REDRAWN},
    "smreg-256": _SMREG,
    "smreg-redrawn": {**_SMREG, **_REDRAWN},
    "relu-256": {"features": "relu", "num_features": 256},
    SCRATCH: _SOFTMAX,
}
"""Arguments of the Performer's layers by the name of a model; None for exact attention."""

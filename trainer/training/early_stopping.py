"""Whether a run has stopped getting better: early stopping by a figure of the validation lines.

Nothing is kept for it. The lines are read anew each time, so that a run that was restarted decides as it would have
without the restart.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from trainer.storage import metrics


def reason(settings: ConfigDict, records: Iterable[Mapping[str, Any]]) -> str | None:
    """Says why a run is to end before its last step.

    Args:
        settings: `config.train` of the run.
        records: Its metrics so far, in order. Evaluations of other examples than the newest do not count.

    Returns:
        The reason as a clause; None if there is none.
    """
    patience = settings.early_stopping_evaluations
    if not patience:
        return None
    metric, least = settings.early_stopping_metric, settings.early_stopping_min_improvement
    best, best_step, waited = math.inf, None, 0
    for record in metrics.evaluations(records):
        value = record.get(metric)  # None: it was not finite.
        if value is not None and value < best - least:
            best, best_step, waited = value, record["step"], 0
        else:
            waited += 1
    if waited < patience:
        return None
    name = f"validation {metric.replace('_', ' ')}"
    if best_step is None:
        return f"the {name} was not finite in {waited} evaluation(s)"
    by = f" by more than {least:g}" if least else ""
    return f"the {name} was {best:.4f} at step {best_step} and has not improved{by} in {waited} evaluation(s) since"

"""Early stopping by a metric of the validation lines.

It has no state: the lines are read anew each time, so that a restarted run decides as it would have without the
restart.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from trainer.storage import metrics


def reason(settings: ConfigDict, records: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns why a run should end before its last step.

    Args:
        settings: `config.train` of the run.
        records: Its metrics so far, in order. Evaluations on other examples than the newest do not count, nor those
            without the metric, which older versions made.

    Returns:
        The reason as a clause; None if the run should go on.
    """
    patience = settings.early_stopping_evaluations
    if not patience:
        return None
    metric, least = settings.early_stopping_metric, settings.early_stopping_min_improvement
    best, best_value, best_step, waited = math.inf, math.nan, None, 0
    for record in metrics.evaluations(records):
        if metric not in record:
            continue
        value = record[metric]  # None: it was not finite.
        if value is not None and metrics.cost(metric, value) < best - least:
            best, best_value, best_step, waited = metrics.cost(metric, value), value, record["step"], 0
        else:
            waited += 1
    if waited < patience:
        return None
    name = f"validation {metric.replace('_', ' ')}"
    if best_step is None:
        return f"the {name} was not finite in {waited} evaluation(s)"
    by = f" by more than {least:g}" if least else ""
    return (
        f"the {name} was {best_value:.4f} at step {best_step} and has not improved{by} in {waited} evaluation(s) since"
    )

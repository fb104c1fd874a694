"""Checks of the fields of a config that say which weights a run begins with."""

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import model_fields
from trainer.field_checks import check
from trainer.storage import checkpoint_choice

TILE = "tile"
_WITHOUT_INIT_FROM = {"init_checkpoint": checkpoint_choice.NEWEST, "init_partial": False, "init_positions": ""}
_WITH_TABLES = ("axial", "learned")


def check_fields(config: ConfigDict) -> None:
    """Checks the rules that can be checked without the folder, which a run that goes on does not need any more.

    Args:
        config: Config of a run, whose `config.task` was checked.

    Raises:
        ValueError: If a field breaks a rule; the message names the field, the rule and what was received.
    """
    if not config.init_from:
        for name, default in _WITHOUT_INIT_FROM.items():
            rule = f"must be {default!r} unless `config.init_from` names the run whose weights are taken"
            check(config, name, rule, {default}.__contains__)
        return
    local_paths.checked("`config.init_from`", config.init_from)
    rule = "must be newest, best or the number of a step"
    check(config, "init_checkpoint", rule, checkpoint_choice.is_choice)
    check(config, "init_positions", f"must be empty or {TILE!r}", lambda value: value in ("", TILE))
    positions = model_fields.completed(config.task, config.model)["positions"]
    rule = f"must be empty where `config.model.positions` is {positions!r}, which have no weights to extend"
    check(config, "init_positions", rule, lambda value: not value or positions in _WITH_TABLES)

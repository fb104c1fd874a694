"""Fields that a config may leave empty, and that stay as they were when the run began."""

from absl import logging
from ml_collections import ConfigDict

from trainer import data_checks
from trainer.data.corpora import validation
from trainer.distribution.process_group import ProcessGroup
from trainer.initialization import followed_fields
from trainer.storage.workdir import Workdir


def fill_in(config: ConfigDict, workdir: Workdir) -> None:
    """Fills in fields of the data as in the run in a folder, or as in new runs.

    Args:
        config: Config of a run; empty fields are set.
        workdir: Its folder.

    Raises:
        ValueError: If a new run has a folder of data that is not read. A run that began with it, when it was ignored,
            goes on.
    """
    before = workdir.config_before()
    try:
        data_checks.check_data_dir(config)
    except ValueError as error:
        if before is None:
            raise
        logging.warning("Not used: %s", error)
    began, data = before or config, config.data
    data.validation_rule = data.validation_rule or validation.resolve_rule(began.data)
    data.labels = data.labels or began.data.labels


def broadcast(config: ConfigDict, process_group: ProcessGroup) -> None:
    """Sets what the chief filled in, here and for its model, in the other processes too."""
    filled_in = [config.data.validation_rule, config.data.labels, followed_fields.of_run(config)]
    config.data.validation_rule, labels, arguments = process_group.broadcast(filled_in)
    config.data.labels = tuple(labels)
    followed_fields.fill_in(config, arguments)

"""Fields that a config may leave empty, and that stay as they were when the run began."""

from absl import logging
from ml_collections import ConfigDict

from trainer import data_checks
from trainer.data import corpora
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
        ValueError: If a field is set that the source of documents does not read. A run that began with it, when it was
            ignored, goes on.
    """
    before = workdir.config_before()
    began, data = before or config, config.data
    data.validation_rule = data.validation_rule or _rule(data.name, began.data.validation_rule)
    for name, message in data_checks.unused_fields(config).items():
        if before is None or data[name] != before.data[name]:
            raise ValueError(message)
        if name != "validation_rule":  # Earlier versions filled it in for every source.
            logging.warning("Not used: %s", message)
    data.labels = data.labels or began.data.labels


def _rule(name: str, rule: str) -> str:
    """The rule that splits the documents of a source; what is there if the source knows no rules."""
    fields = corpora.SOURCES[name].fields
    return rule or (validation.DOCUMENTS_AND_ENDS if fields is None or "validation_rule" in fields else "")


def broadcast(config: ConfigDict, process_group: ProcessGroup) -> None:
    """Sets what the chief filled in, here and for its model, in the other processes too."""
    filled_in = [config.data.validation_rule, config.data.labels, followed_fields.of_run(config)]
    config.data.validation_rule, labels, arguments = process_group.broadcast(filled_in)
    config.data.labels = tuple(labels)
    followed_fields.fill_in(config, arguments)

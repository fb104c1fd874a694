"""The check that all processes of a run have the same data, which each of them loads by itself."""

from ml_collections import ConfigDict

from trainer.data.corpora import Corpus
from trainer.distribution.process_group import ProcessGroup
from trainer.initialization import id_meanings


def check(process_group: ProcessGroup, config: ConfigDict, corpus: Corpus) -> None:
    """Checks that documents, and what their ids stand for, are those of the chief. All processes must call it.

    Args:
        process_group: The processes of the run.
        config: Config of the run.
        corpus: The documents that this process has loaded.

    Raises:
        ValueError: If any process has others than the chief; then all processes raise it.
    """
    if process_group.processes == 1:
        return  # A fingerprint may take a pass over all ids.
    own = {
        "train documents": corpus.train.fingerprint,
        "validation documents": corpus.validation.fingerprint,
        "ids": id_meanings.of_config(config),
    }
    chiefs = process_group.broadcast(own)
    for what, of_this_process in own.items():
        differs = of_this_process != chiefs[what]
        if process_group.any(differs):
            raise ValueError(
                f"`config.data` must give the same {what} in every process of the run. Received: others than the "
                f"chief's in {'this process' if differs else 'another process than this one'}"
            )

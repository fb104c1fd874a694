"""Trains the models of `reformer_tf`: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer import quiet_import

if TYPE_CHECKING:
    import ml_collections

    from trainer.data.corpora import Corpus

quiet_import.install()


def register_corpus(name: str, function: Callable[[ml_collections.ConfigDict], Corpus], contents: str = "text") -> None:
    """Adds a source of documents of your own, for `config.data.name`.

    Call it in a module that every command can import, and name that in `config.data.module`: it is kept with the run.

    Args:
        name: For `config.data.name`.
        function: From `config.data` to a `trainer.data.corpora.Corpus`, with the same documents at every call.
        contents: What its documents are: `"text"` (`trainer.data.documents.Documents`), `"ids"`, `"labelled text"`,
            `"labelled ids"` or `"pairs of texts"`; `docs/data.md` has the classes.

    Raises:
        ValueError: If the name is no identifier or that of a source of the trainer, or another argument is of no use.

    Example:
        >>> from trainer.data.corpora import Corpus
        >>> from trainer.data.documents import Documents
        >>> def haiku(data):
        ...     return Corpus("haiku", Documents([b"an old silent pond"]), Documents([b"a frog jumps in"]))
        >>> register_corpus("haiku", haiku)
    """
    from trainer.data import corpora  # Here, because the commands import this package before they can say anything.

    corpora.register(name, function, contents)

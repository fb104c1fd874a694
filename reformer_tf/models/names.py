"""Names of the arguments of models: a model hands those that it does not know to its backbone."""

import inspect
from collections.abc import Iterable


def refuse_unknown(owners: Iterable[type], given: Iterable[str]) -> None:
    """Refuses arguments that neither a model nor its backbone takes.

    `keras.Model` would take some of them, and Python names a missing one before an unknown one; in the config of
    another kind of model there may be both.

    Args:
        owners: the class of the model, and that of its backbone if it has one.
        given: the names.

    Raises:
        ValueError: for unknown names.
    """
    owners = list(owners)
    known = [name for owner in owners for cls in owner.__mro__ for name in _own_arguments(cls)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"Arguments of {owners[0].__name__} must be some of {', '.join(dict.fromkeys(known))}."
            f" Received: {', '.join(unknown)}"
        )


def _own_arguments(cls: type) -> list[str]:
    """Names of the arguments that a class of this package, or one derived from it, declares itself."""
    if "__init__" not in vars(cls) or cls.__module__.split(".")[0] in ("keras", "tensorflow", "builtins"):
        return []
    parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]

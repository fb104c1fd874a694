"""The backbone of a model: one that its constructor was passed, or a new one."""

import inspect
from collections.abc import Mapping
from typing import Any

from reformer_tf.models import model_arguments
from reformer_tf.models.backbone import ReformerBackbone

_REQUIRED = [
    parameter.name
    for parameter in inspect.signature(ReformerBackbone).parameters.values()
    if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
]


def passed_or_new(owner: type, backbone: Any, named: Mapping[str, Any], options: Mapping[str, Any]) -> ReformerBackbone:
    """Checks the backbone that a model's constructor was passed, or makes one.

    Args:
        owner: the class of the model.
        backbone: the backbone, or None.
        named: the backbone's arguments that the constructor names; None for those that it was not passed.
        options: further arguments of the backbone.

    Raises:
        ValueError: for a backbone of another class, a subclass included, arguments that it has already, or missing or
            unknown ones.
    """
    model_arguments.refuse_unknown([owner, ReformerBackbone], options)
    passed = {**{name: value for name, value in named.items() if value is not None}, **options}
    if backbone is None:
        missing = [name for name in _REQUIRED if name not in passed]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} must be passed to {owner.__name__}, unless backbone is. Received: none of them"
            )
        return ReformerBackbone(**passed, name="backbone")
    # From its config, a model makes a plain ReformerBackbone again.
    if type(backbone) is not ReformerBackbone:
        raise ValueError(
            "backbone must be a ReformerBackbone, such as the attribute `backbone` of a language model, and not of a"
            f" subclass, which the model's config does not describe. Received: {type(backbone).__name__}"
        )
    if passed:
        raise ValueError(f"{', '.join(passed)} must be left out with backbone, which has its own. Received: {passed}")
    return backbone

"""Records changes of the parts of a layer or model after its construction, as an entry of its config.

A model is made again from its constructor's arguments, which do not tell that a part was later frozen or got another
dropout. So a model remembers its parts as the constructor made them, its config lists the differences, and `apply`
makes the same changes to the parts of the new model.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import keras

from reformer_tf.layers.low_rank import LowRankAdapted

_Owner = TypeVar("_Owner", bound=keras.layers.Layer)

# The entry of a config.
KEY = "parts"


class _Part(NamedTuple):
    layer: keras.layers.Layer
    attributes: dict[str, Any]
    weights: list[tuple[Any, ...]]


class Parts:
    """The parts of a layer or model as they were made.

    Args:
        owner: a layer or model, at the end of its constructor.
        layers: its parts by name, for instance `{"normalization": ...}`; if None, all its sublayers at any depth.
    """

    def __init__(self, owner: keras.layers.Layer, layers: Mapping[str, keras.layers.Layer] | None = None):
        self._owner = owner
        self._complete = layers is None
        self._made = {
            path: _Part(layer, _attributes(layer), _weights(layer))
            for path, layer in (_walk(owner) if layers is None else layers.items())
        }
        if self._complete:
            # The owner's own config has its other attributes.
            self._made[""] = _Part(owner, _policy(owner), [])
            self._take_over_inner_models()

    def _take_over_inner_models(self) -> None:
        """Takes the parts of a model inside as they were when that was made: it may have been changed since then."""
        for path, part in list(self._made.items()):
            inner = getattr(part.layer, "_parts", None)
            if path and isinstance(inner, Parts) and inner._complete:
                self._made |= {f"{path}.{below}": made for below, made in inner._made.items() if below}
                # The owner makes it again with the same policy, and to be trained.
                attributes = {**part.attributes, **inner._made[""].attributes, "trainable": True, _FLAGS: None}
                self._made[path] = part._replace(attributes=attributes)

    def changes(self, expected: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """Lists attributes that changed since the parts were made, by path, such as `{"head": {"trainable": False}}`.

        Args:
            expected: attributes that the constructor would now set to other values than before.

        Raises:
            ValueError: for changes that a config cannot describe: a replaced part, another function, other weights.
        """
        found = {}
        self._refuse_new_parts()
        for path, made in self._made.items():
            now = _attributes(made.layer) if path else _policy(made.layer)
            before = {**made.attributes, **(expected or {})}
            changed = {name: value for name, value in now.items() if value is not before.get(name)}
            changed = {name: value for name, value in changed.items() if value != before.get(name)}
            for name, value in changed.items():
                if not _is_plain(value):
                    self._refuse(path, f"{name} was set to {value!r}")
            if made.layer.quantization_mode is None and made.weights and _weights(made.layer) != made.weights:
                self._refuse(path, "weights were added or taken away")
            if changed:
                found[path] = changed
        return found

    def apply(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Makes the changes that `changes` of an equal layer or model returned.

        Raises:
            ValueError: if there is no such part.
        """
        for path, attributes in changes.items():
            if path not in self._made:
                raise ValueError(f"parts must be among {sorted(self._made)}. Received: {path!r}")
            layer = self._made[path].layer
            if attributes.get(_ADAPTERS):
                layer.enable_lora(**attributes[_ADAPTERS])
            for name, value in attributes.items():
                if name == "dtype":
                    layer.dtype_policy = value
                elif name == "trainable":
                    # Not by the property, which would set the flags of its sublayers as well.
                    layer._trainable = value
                elif name not in (_FLAGS, _ADAPTERS):
                    setattr(layer, name, value)
            flags = attributes.get(_FLAGS) or [layer.trainable] * len(layer._trainable_variables)
            for variable, trainable in zip(layer._trainable_variables, flags, strict=True):
                variable.trainable = trainable

    def _refuse_new_parts(self) -> None:
        # A user's subclass takes care of its additional parts, as of its config.
        if not self._complete or not type(self._owner).__module__.startswith("reformer_tf."):
            return
        known = {id(made.layer) for made in self._made.values()}
        for path, layer in _walk(self._owner):
            if id(layer) not in known:
                self._refuse(path, f"{layer.name} ({type(layer).__name__}) was put there")

    def _refuse(self, path: str, what: str) -> None:
        raise ValueError(
            "The config of a model must be able to say what was done to its parts after it was made, which are flags,"
            " dtype policies and plain attributes. For more, make a functional model around `model.backbone`, or a"
            f" subclass with a get_config of its own; save_weights works as it is. Received: {self._owner.name}.{path},"
            f" where {what}"
        )


# The `trainable` flag of each trainable weight of a layer, if they differ.
_FLAGS = "trainable_weights"
# The arguments of `enable_lora`, of Keras' layers or of this package's, if it was called.
_ADAPTERS = "enable_lora"
_ADAPTER_ATTRIBUTES = ("lora_rank", "lora_alpha", "lora_kernels")


def _walk(owner: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields all parts, each once, with the attribute path that leads to it, or its name."""
    seen = {id(owner)}

    def below(owner: keras.layers.Layer, path: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        names = {}
        for name, value in vars(owner).items():
            if isinstance(value, list | tuple) and not name.startswith("_"):
                names.update({id(x): f"{name}[{index}]" for index, x in enumerate(value)})
            elif isinstance(value, keras.layers.Layer):
                names[id(value)] = name
        for layer in owner._layers:
            if id(layer) not in seen:
                seen.add(id(layer))
                here = f"{path}.{names.get(id(layer), layer.name)}".lstrip(".")
                yield here, layer
                yield from below(layer, here)

    return below(owner, path)


def _attributes(layer: keras.layers.Layer) -> dict[str, Any]:
    """The layer's constructor arguments that are attributes, and its flags and policy."""
    # `quantization_config` is left out, because the policy says how a layer is quantized.
    left_out = ("quantization_config", *_ADAPTER_ATTRIBUTES)
    taken = [*inspect.signature(type(layer).__init__).parameters, "activity_regularizer", "autocast"]
    taken = [name for name in taken if name in vars(layer) and name not in left_out]
    attributes = {name: _listed(vars(layer)[name]) for name in taken}
    attributes = {name: value for name, value in attributes.items() if not _has_layers(value)}
    attributes["trainable"] = layer.trainable
    flags = [variable.trainable for variable in layer._trainable_variables]
    attributes[_FLAGS] = None if all(flag == layer.trainable for flag in flags) else flags
    if getattr(layer, "lora_enabled", False):
        attributes[_ADAPTERS] = {"rank": layer.lora_rank, "lora_alpha": layer.lora_alpha}
        if isinstance(layer, LowRankAdapted):
            attributes[_ADAPTERS]["kernels"] = _listed(layer.lora_kernels)
    return {**attributes, **_policy(layer)}


def _policy(layer: keras.layers.Layer) -> dict[str, Any]:
    # A policy map belongs to the whole model, whose config has it.
    is_map = isinstance(layer.dtype_policy, keras.dtype_policies.DTypePolicyMap)
    return {} if is_map else {"dtype": layer.dtype_policy.name}


def _weights(layer: keras.layers.Layer) -> list[tuple[Any, ...]]:
    """The shapes and dtypes of the layer's own weights, without those of adapters."""
    adapters = "lora_" if getattr(layer, "lora_enabled", False) else None
    variables = (*layer._trainable_variables, *layer._non_trainable_variables)
    return [(*v.shape, v.dtype) for v in variables if adapters is None or not v.name.startswith(adapters)]


def _listed(value: Any) -> Any:
    return [_listed(x) for x in value] if isinstance(value, list | tuple) else value


def _has_layers(value: Any) -> bool:
    return any(isinstance(x, keras.layers.Layer) for x in (value if isinstance(value, list) else [value]))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(x) for x in value)
    if isinstance(value, dict):
        return all(_is_plain(x) for x in value.values())
    return value is None or isinstance(value, bool | int | float | str)


def make(cls: type[_Owner], config: Mapping[str, Any]) -> _Owner:
    """Makes a layer or model with `_parts` from its config."""
    arguments = dict(config)
    changes = arguments.pop(KEY, {})
    made = cls(**arguments)
    made._parts.apply(changes)
    return made

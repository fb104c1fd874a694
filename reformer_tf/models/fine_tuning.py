"""Models that are trained further by low-rank adapters."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras.src.quantizers.utils import should_quantize_layer  # Keras has no public name for it.

from reformer_tf.layers import arguments, not_quantized
from reformer_tf.layers.low_rank import LowRankAdapted
from reformer_tf.models.step_functions import StepFunctions

# Of the paper's experiments (Hu et al., 2021, section 5): queries and values.
_KERNELS = ("query", "query_key", "value")


class FineTuned(StepFunctions):
    """Mixin of models, to be listed before `keras.Model` among the bases: adapters for all layers at once."""

    _flatten_layers: Callable[..., list[keras.layers.Layer]]

    def adapted_part(self) -> keras.Model:
        """The part whose weights are frozen for adapters; the rest of the model is trained as it is."""
        raise NotImplementedError

    def train_adapters(self, rank: int, lora_alpha: float | None = None, kernels: Sequence[str] = _KERNELS) -> None:
        """Freezes the backbone and gives kernels of its layers low-rank adapters; these and the head are trained.

        A compiled model must be compiled again. Layers of Keras, and single layers of this package, have their own
        `enable_lora`.

        Args:
            rank: of the adapters.
            lora_alpha: adapters count times `lora_alpha / rank`; `rank` if None.
            kernels: the names of the kernels: of attention `"query_key"`, `"query"`, `"key"`, `"value"` and `"output"`,
                of feed-forward layers `"inner_kernel"`, `"gate_kernel"` and `"outer_kernel"`, of the token embedding
                `"embeddings"`. Layers without a kernel of such a name are frozen.

        Raises:
            ValueError: if some layer has adapters already, no layer has a kernel of one of the names, or a number is
                not positive. Nothing is frozen then.

        Example:
            >>> from reformer_tf.models import ReformerClassifier
            >>> model = ReformerClassifier(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"], num_classes=3)
            >>> model.train_adapters(rank=4)
            >>> stack = model.backbone.get_layer("stack")
            >>> [weight.name for weight in stack.branches[2].trainable_weights]
            ['lora_query_key_a', 'lora_query_key_b', 'lora_value_a', 'lora_value_b']

        References:
            Hu et al., 2021, LoRA: Low-Rank Adaptation of Large Language Models, section 4.
        """
        part = self.adapted_part()
        adaptable = [layer for layer in part._flatten_layers() if isinstance(layer, LowRankAdapted)]
        known = dict.fromkeys(name for layer in adaptable for name in layer.kernels())
        kernels = kernels if isinstance(kernels, str) else list(kernels)
        if isinstance(kernels, str) or not set(kernels) & set(known) or set(kernels) - {*known, *_KERNELS}:
            raise ValueError(f"kernels must be a list of names among {list(known)}. Received: kernels={kernels!r}")
        rank = arguments.positive_integer("rank", rank)
        lora_alpha = arguments.optional(arguments.positive_number, "lora_alpha", lora_alpha)
        adapted = [layer.name for layer in adaptable if layer.lora_enabled]
        if adapted:
            raise ValueError(
                "train_adapters must not be called on a model with adapters; merge_adapters() merges them first."
                f" Received: {self.name}, with adapters in {', '.join(adapted)}"
            )
        # Flags of single layers count only below containers that are trained. Each is set by itself: an attribute that
        # is set to the value that it has is not passed on to sublayers.
        for layer in part._flatten_layers():
            layer.trainable = True
        for layer in part._flatten_layers():
            if not layer._layers:
                layer.trainable = False
            for variable in layer._trainable_variables:
                variable.trainable = False
        for layer in adaptable:
            names = [name for name in layer.kernels() if name in kernels]
            if names:
                layer.trainable = True
                layer.enable_lora(rank, lora_alpha, kernels=names)
                layer.train_adapters_only()
        self._forget_compilation()

    def merge_adapters(self) -> None:
        """Adds all adapters of this package's layers to their kernels for good, as exports do for themselves.

        The kernels stay frozen, as `train_adapters` left the rest of the backbone, until `trainable` of the backbone is
        set to True. (`merge_lora` of a single layer lets its kernels be trained at once.) A compiled model must be
        compiled again.

        Raises:
            ValueError: if no layer has adapters.
        """
        adapted = _adapted_layers(self)
        if not adapted:
            raise ValueError(f"merge_adapters must come after train_adapters. Received: {self.name}, without adapters")
        for layer in adapted:
            kernels = [layer.kernels()[name].variable for name in layer.adapters()]
            layer.merge_lora()
            for kernel in kernels:
                kernel.trainable = False
        part = self.adapted_part()
        if not part.trainable_variables:
            # Setting it to True would do nothing if it were True.
            part.trainable = False
        self._forget_compilation()

    def _forget_compilation(self) -> None:
        # The optimizer and all functions know the weights of before. Keras asks for `compile` before the next `fit`.
        self.compiled = False
        self.train_function = self.test_function = self.predict_function = None

    def quantize(self, mode: Any = None, config: Any = None, filters: Any = None, **kwargs: Any) -> None:
        """Keras' `quantize`, of layers of Keras alone.

        Raises:
            ValueError: if `filters` selects a layer that is not quantized, see `NotQuantized`.
        """
        layers = [layer for layer in self._flatten_layers() if isinstance(layer, not_quantized.NotQuantized)]
        refused = [layer.name for layer in layers if should_quantize_layer(layer, filters)]
        if refused:
            raise ValueError(
                "filters must select layers of Keras, such as the head of a classifier: the layers of this package are"
                f" not quantized, because {not_quantized.REASON}."
                f" Received: filters={filters!r}, which select {', '.join(refused)}"
            )
        super().quantize(mode, config, filters, **kwargs)  # type: ignore[misc]


def merged(model: Any) -> Any:
    """The model if none of this package's layers in it has adapters, else a copy in which they are merged.

    Raises:
        ValueError: for a model with adapters that cannot be copied.
    """
    if not _adapted_layers(model):
        return model
    # A clone of a backbone would be a plain functional model.
    is_ours = isinstance(model, FineTuned)
    try:
        copy = type(model).from_config(model.get_config()) if is_ours else keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except Exception as error:  # Models of one's own may raise anything.
        raise ValueError(
            "A model with adapters must be one that can be cloned, because they are merged in a copy. Otherwise call"
            " merge_lora() of its layers, or merge_adapters() of the model, before the export."
            f" Received: {model.name}, where this failed: {error}"
        ) from error
    for layer in _adapted_layers(copy):
        layer.merge_lora()
    return copy


def _adapted_layers(model: Any) -> list[LowRankAdapted]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, LowRankAdapted) and layer.lora_enabled]

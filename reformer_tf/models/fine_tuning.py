"""Models that are trained further by low-rank adapters."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras.src.quantizers.utils import should_quantize_layer  # Keras has no public name for it.

from reformer_tf.layers.low_rank import LowRankAdapted
from reformer_tf.layers.not_quantized import NotQuantized

# Of the paper's experiments (Hu et al., 2021, section 5): queries and values.
_KERNELS = ("query", "query_key", "value")


class FineTuned:
    """Mixin of models, to be listed before `keras.Model` among the bases: adapters for all layers at once."""

    name: str
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
                not positive.

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
        if isinstance(kernels, str) or not set(kernels) & set(known) or set(kernels) - {*known, *_KERNELS}:
            raise ValueError(f"kernels must be a list of names among {list(known)}. Received: kernels={kernels!r}")
        for layer in adaptable:
            layer.check_without_adapters()
        # Flags of single layers count only below containers that are trained.
        part.trainable = True
        for layer in part._flatten_layers(include_self=False):
            if not layer._layers:
                layer.trainable = False
        for layer in adaptable:
            names = [name for name in layer.kernels() if name in kernels]
            if names:
                layer.trainable = True
                layer.enable_lora(rank, lora_alpha, kernels=names)
                layer.train_adapters_only()
        self._forget_compilation()

    def merge_adapters(self) -> None:
        """Adds all adapters of this package's layers to their kernels for good, as exports do for themselves.

        A compiled model must be compiled again.

        Raises:
            ValueError: if no layer has adapters.
        """
        adapted = _adapted_layers(self)
        if not adapted:
            raise ValueError(f"merge_adapters must come after train_adapters. Received: {self.name}, without adapters")
        for layer in adapted:
            layer.merge_lora()
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
        layers = [layer for layer in self._flatten_layers() if isinstance(layer, NotQuantized)]
        refused = [layer.name for layer in layers if should_quantize_layer(layer, filters)]
        if refused:
            raise ValueError(
                "filters must select layers of Keras, such as the head of a classifier: the layers of this package are"
                " not quantized, since TensorFlow's int8 products are slower than those of float32 on CPU;"
                ' dtype="mixed_bfloat16" makes a model faster where the device has it.'
                f" Received: filters={filters!r}, which select {', '.join(refused)}"
            )
        super().quantize(mode, config, filters, **kwargs)  # type: ignore[misc]


def merged(model: Any) -> Any:
    """The model if none of this package's layers in it has adapters, else a copy in which they are merged."""
    if not _adapted_layers(model):
        return model
    # A clone of a backbone would be a plain functional model.
    is_ours = isinstance(model, FineTuned)
    copy = type(model).from_config(model.get_config()) if is_ours else keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in _adapted_layers(copy):
        layer.merge_lora()
    return copy


def _adapted_layers(model: Any) -> list[LowRankAdapted]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, LowRankAdapted) and layer.lora_enabled]

"""Reformer checkpoints of Hugging Face transformers."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from reformer_tf import local_paths, models
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.pretrained import huggingface_config, huggingface_files, huggingface_sizes, weight_mapping
from reformer_tf.pretrained.rotations import assign_rotations
from reformer_tf.pretrained.weight_mapping import WeightTarget, as_is, named, out_by_in

# Buffers that some releases saved beside the weights: values of masks and numbers of positions.
_BUFFERS = re.compile(r"(self_mask_value_float(16|32)|mask_value_float(16|32)|position_ids)$")


def from_huggingface(
    directory: str | os.PathLike[str],
    rotations: Mapping[int, np.ndarray] | None = None,
    head_bias: bool = True,
    reversible: bool = True,
    seed: int = 0,
    dtype: Any = None,
) -> keras.Model:
    """Builds the model of a Reformer that `save_pretrained` wrote, with its weights.

    `directory` holds `config.json` and the weights: `model.safetensors`, in one file or in shards with an index, or
    `pytorch_model.bin`, for which torch must be installed. Weights of any precision become float32. Every tensor must
    have a weight and every weight a tensor; only the constant buffers that older releases saved (values of masks,
    `position_ids`) are ignored.

    The model computes the same as the original in evaluation mode, up to rounding: attention has `window="chunk"`,
    wraps around the ends, pads lengths to a multiple of its chunks by itself, and chooses the number of buckets by each
    call's length if `num_buckets` is not set. Pass the original's `attention_mask` as `mask`.

    Differences: this model draws new rotations at every training step and otherwise uses the stored ones, while the
    original draws at every call unless `hash_seed` is set. Torch's random generator is not reproduced: pass `rotations`
    to use those of a certain run. In training, dropout applies to the sum of embeddings and positions, to the outputs
    of attention and of feed-forward layers and to attention probabilities, with the rates of the config; unlike in the
    original, not to a feed-forward layer's inner tensor or after the last normalisation. A classifier's own rate
    (`classifier_dropout`) is that of its head. `chunk_size_feed_forward` and `chunk_size_lm_head`, which only save
    memory, have no effect.

    Args:
        directory: the folder.
        rotations: the rotations of LSH layers by `layer_index`, counted over all layers from 0: arrays
            `[num_heads, key_dim, num_hashes, columns]`, with half the number of buckets as columns, or half the sum of
            its factors. If the number of buckets depends on the length, an array may have fewer columns than the
            longest length needs; it then replaces the first ones. Rotations passed here are used in training as well.
            Other layers draw theirs from `seed`.
        head_bias: whether the bias of a language model's head is applied. False for weights trained with releases
            that ignored it (transformers 5).
        reversible: whether the stack saves memory in training by recomputation.
        seed: of rotations and dropout.
        dtype: dtype policy of all layers.

    Returns:
        A `ReformerCausalLM` or `ReformerMaskedLM` (logits), a `ReformerClassifier` or `ReformerSpanPredictor`, or, for
        a checkpoint without a head, a `ReformerBackbone`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file cannot be read, a value of the config is not supported, the tensors are not exactly those
            of the model (sizes are checked before it is built), or rotations do not fit its layers.

    Example:
        >>> model = from_huggingface("reformer-enwik8")  # doctest: +SKIP
        >>> prompt = [0, *(byte + 2 for byte in b"In 1965")]
        >>> (row,) = model.generate([prompt], max_new_tokens=20)  # doctest: +SKIP
        >>> text = bytes(token - 2 for token in row if token >= 2)  # doctest: +SKIP

        To compare with another run although rounding may change hashes near a tie, replay its buckets, int32
        `[B, H, R, L]` for each LSH layer in sequence:

        >>> from reformer_tf.ops import replay
        >>> with replay.replaying(buckets):  # doctest: +SKIP
        ...     logits = model(ids)
    """
    folder = local_paths.checked("directory", directory)
    config = huggingface_files.read_config(folder)
    tensors = {
        name: tensor for name, tensor in huggingface_files.read_tensors(folder).items() if not _BUFFERS.search(name)
    }
    kind = huggingface_config.model_class(config, tensors)
    arguments = huggingface_config.model_arguments(config, kind)
    if rotations:
        arguments["redraw_rotations"] = False
    if kind in (models.ReformerCausalLM, models.ReformerMaskedLM):
        arguments["head_bias"] = head_bias
        _settle_head_bias(tensors, head_bias, str(folder))
    huggingface_sizes.check(arguments, tensors, _prefix(tensors), str(folder))
    model = kind(**arguments, reversible=reversible, seed=seed, dtype=dtype)
    weight_mapping.assign(model, weight_targets(model, tensors), tensors, str(folder))
    assign_rotations(model, rotations or {})
    return model


def _settle_head_bias(tensors: dict[str, np.ndarray], head_bias: bool, source: str) -> None:
    """Leaves one tensor `lm_head.bias`, or none without `head_bias`: old files hold the bias under two names."""
    names = ("lm_head.bias", "lm_head.decoder.bias")
    found = {name: tensors.pop(name) for name in names if name in tensors}
    if len(found) == 2 and not np.array_equal(found[names[0]], found[names[1]]):
        raise ValueError(f"{' and '.join(names)} must be equal. Received: {source}, where they differ")
    if head_bias and found:
        tensors["lm_head.bias"] = next(iter(found.values()))


def weight_targets(model: keras.Model, tensors: Iterable[str]) -> dict[str, WeightTarget]:
    """The weights that all tensors go into, by name of the tensor.

    Args:
        model: a model that `from_huggingface` returned.
        tensors: names of the tensors, which show whether names begin with `reformer.`.
    """
    return dict(_weight_targets(model, _prefix(tensors)))


def _prefix(tensors: Iterable[str]) -> str:
    """The prefix of the names of the backbone's tensors."""
    return "reformer." if any(name.startswith("reformer.") for name in tensors) else ""


def _weight_targets(model: keras.Model, prefix: str) -> Iterator[tuple[str, WeightTarget]]:
    backbone = model if isinstance(model, ReformerBackbone) else model.backbone
    for name, target in _backbone_targets(backbone):
        yield prefix + name, target
    width = backbone.output_dim
    if isinstance(model, models.ReformerCausalLM | models.ReformerMaskedLM):
        weights = named(model.head)
        yield "lm_head.decoder.weight", out_by_in(weights["kernel"], width)
        if "bias" in weights:
            yield "lm_head.bias", as_is(weights["bias"])
    elif isinstance(model, models.ReformerClassifier):
        yield from _dense_targets("classifier.dense", model.hidden)
        yield from _dense_targets("classifier.out_proj", model.output_projection)
    elif isinstance(model, models.ReformerSpanPredictor):
        yield from _dense_targets("qa_outputs", model.span)


def _backbone_targets(backbone: ReformerBackbone) -> Iterator[tuple[str, WeightTarget]]:
    yield "embeddings.word_embeddings.weight", as_is(backbone.token_embedding.embeddings)
    positions = backbone.get_layer("position_embedding")
    if backbone.config["positions"] == "learned":
        yield "embeddings.position_embeddings.embedding.weight", as_is(positions.table)
    else:
        for axis, table in enumerate(positions.tables):
            # The tensor has an axis of size one for each of the other axes.
            shape = [1] * len(positions.tables)
            shape[axis] = table.shape[0]
            yield f"embeddings.position_embeddings.weights.{axis}", as_is(table, (*shape, table.shape[1]))
    for index, (attention, feed_forward) in enumerate(weight_mapping.blocks(backbone)):
        for name, target in _attention_targets(attention):
            yield f"encoder.layers.{index}.attention.{name}", target
        for name, target in _feed_forward_targets(feed_forward):
            yield f"encoder.layers.{index}.feed_forward.{name}", target
    yield from _normalization_targets("encoder.layer_norm", backbone.get_layer("final_norm"))


def _attention_targets(branch: ResidualBranch) -> Iterator[tuple[str, WeightTarget]]:
    yield from _normalization_targets("layer_norm", branch.normalization)
    weights = named(branch.layer)
    output = weights.pop("output")
    for name, kernel in weights.items():  # query_key and value, or query, key and value
        yield f"self_attention.{name}.weight", out_by_in(kernel, kernel.shape[0])
    yield "output.dense.weight", out_by_in(output, output.shape[0] * output.shape[1])


def _feed_forward_targets(branch: ResidualBranch) -> Iterator[tuple[str, WeightTarget]]:
    yield from _normalization_targets("layer_norm", branch.normalization)
    weights = named(branch.layer)
    for theirs, ours in (("dense.dense", "inner"), ("output.dense", "outer")):
        kernel = weights[f"{ours}_kernel"]
        yield f"{theirs}.weight", out_by_in(kernel, kernel.shape[0])
        yield f"{theirs}.bias", as_is(weights[f"{ours}_bias"])


def _normalization_targets(name: str, layer: keras.layers.LayerNormalization) -> Iterator[tuple[str, WeightTarget]]:
    yield f"{name}.weight", as_is(layer.gamma)
    yield f"{name}.bias", as_is(layer.beta)


def _dense_targets(name: str, layer: keras.layers.Dense) -> Iterator[tuple[str, WeightTarget]]:
    yield f"{name}.weight", out_by_in(layer.kernel, layer.kernel.shape[0])
    yield f"{name}.bias", as_is(layer.bias)

"""Exports a model as the next version in the folder that a server watches."""

import contextlib
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf import local_paths
from reformer_tf.export import (
    class_signatures,
    export_arguments,
    ids_signatures,
    model_card,
    seq2seq_signatures,
    text_signatures,
    versions,
    warm_up,
)
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.layers import arguments
from reformer_tf.models import ReformerClassifier, ReformerSeq2Seq, fine_tuning
from reformer_tf.models.headed_model import HeadedModel
from reformer_tf.ops.execution import budgets
from reformer_tf.tokenizers import Tokenizer

_DEFAULT = "serving_default"
_DEVICES = ("CPU", "GPU", "TPU")


def export_saved_model(
    model: keras.Model,
    directory: str | os.PathLike[str],
    tokenizer: Tokenizer | str | None = "auto",
    card: Mapping[str, Any] | None = None,
    device: str | None = None,
    memory_bytes: int | None = None,
    labels: Sequence[str] = (),
    max_beams: int | None = None,
) -> pathlib.Path:
    """Exports a model as the next version in a folder: 1, then 2, and so on.

    A `ReformerCausalLM` has these signatures, each for any batch size and any lengths. Every input and output has the
    batch axis first, and no row depends on its neighbours. `docs/serving.md` has the rules of each signature and how to
    serve them.

    - `score`: `text` `[B]` strings to `bits_per_byte` `[B]` and `token_log_probabilities` `[B, L]`, natural logarithms.
    - `generate`: `text` `[B]` strings, `max_new_tokens` `[B]` int32, `temperature` `[B]` float32 (0 takes the likeliest
      token), `top_k` `[B]` int32 (0: all), `top_p` `[B]` float32 and `seed` `[B]` int32 to `generated_text_bytes`
      `[B]`, the continuation without the text.
    - `score_ids`: `ids` `[B, L]` int32 to `token_log_probabilities` `[B, L - 1]` and `bits_per_token` `[B]`.
    - `predict`, also the default signature: `ids` to `logits` `[B, L, V]`.
    - `embed`: `ids` to `token_embeddings` `[B, L, output_dim]` and their mean, `embedding` `[B, output_dim]`.

    A `ReformerClassifier` has `predict` with `logits` `[B, C]`, `embed`, and

    - `classify`: `text` `[B]` strings, or without a tokenizer `ids` `[B, L]` int32, to `probabilities` `[B, C]`,
      `label` `[B]` strings, the likeliest label, and its number, `class` `[B]` int32.

    One of pairs takes `text_pair`, or `ids_pair`, besides, with as many rows and any length of its own.

    A `ReformerSeq2Seq` has `predict`, of `source` `[B, S]` and `target` `[B, L]` ids, `embed`, of `source` ids, and

    - `translate`: `source` `[B]` strings, the settings of `generate` (`max_new_tokens` with the end of a target),
      `num_beams` `[B]` int32 and `length_penalty` `[B]` float32 to `translation` `[B]`, UTF-8. With `num_beams` 1 a row
      is made token by token: drawn, or with `temperature` 0 by greedy decoding. With 2 to `max_beams` it is the
      result of beam search, for which `temperature` must be 0. Each row has its own settings.
    - `score_pair`: `source` and `target` `[B]` strings to `token_log_probabilities` `[B, L]` of the target and its end,
      and `bits_per_byte` `[B]` of the target without its end.
    - `score_pair_ids`: `source` and `target` ids to `token_log_probabilities` `[B, L]` and `bits_per_token` `[B]`.
    - `translate_ids`, without a tokenizer: as `translate`, of `source` ids and `end` `[B]` int32, the id that ends a
      target (-1: none), to `target` `[B, N]` int32, ids with their end, and -1 after it.

    In `ids`, -1 pads rows at their end; outputs are zero there. All outputs are float32. `score` and `generate` exist
    only with a tokenizer, as do `translate` and `score_pair`; what generates exists only if all kinds of attention that
    do it can decode. Other models with a `ReformerBackbone` have `predict`, with the names of their outputs if these
    are a dict, and `embed`. Any other Keras model has only `predict`, which passes ids on unchanged.

    A version appears only when it is complete, so a server may watch the folder. Its `assets.extra` holds warm-up
    requests for TensorFlow Serving and `model_card.json`.

    Args:
        model: the model. Its weights are saved once, for all signatures, low-rank adapters merged into their kernels;
            the model itself stays as it is.
        directory: folder of the versions. Made if it does not exist.
        tokenizer: the model's tokenizer: a `ByteTokenizer`, or a `SentencePieceTokenizer` (then TensorFlow Text must be
            installed wherever the export is loaded, for any of its signatures). None for no text; `"auto"` takes a
            `ByteTokenizer` for a `ReformerCausalLM` with 257 ids and a `ReformerSeq2Seq` with 257 on both sides, and
            None otherwise. A classifier's texts begin with the tokenizer's boundary, as in the trainer.
        card: further JSON entries of the model card, such as training data and metrics.
        device: `"CPU"`, `"GPU"` or `"TPU"`, the kind of device that will serve the model. How much is computed at a
            time follows from it, outputs do not. That of this process if None. Whatever else the process traces
            meanwhile, in other threads, is for this device too.
        memory_bytes: of such a GPU or TPU; by default what this process's device says, or 16 GiB.
        labels: of a classifier, the names of its classes; their numbers as strings if there are none.
        max_beams: of a `ReformerSeq2Seq`, the greatest `num_beams` of a request, 8 if None: time and memory of a row
            grow with its beams.

    Returns:
        The folder of the new version.

    Raises:
        ValueError: if `model` is not a Keras model, if `directory` cannot be a folder of this machine, if the tokenizer
            or the labels do not fit the model, if `card` is not JSON, if `device` is none of these, if `memory_bytes`
            is not positive or without a GPU or TPU, if `max_beams` is not positive or not for the model,
            or if a model with adapters cannot be copied to merge them.

    Example:
        >>> from reformer_tf.models import ReformerClassifier
        >>> model = ReformerClassifier(257, 1024, 1, 16, 2, 8, 32, ["local"], num_classes=3)
        >>> str(export_saved_model(model, "models/reformer"))
        'models/reformer/1'
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {type(model).__name__}")
    versions_folder = local_paths.checked_folder("`directory`", directory)
    chosen = export_arguments.checked_tokenizer(model, tokenizer)
    names = export_arguments.checked_labels(model, labels)
    beams = export_arguments.checked_beams(model, max_beams)
    entries = model_card.checked(card)
    target = _target(device, memory_bytes)
    resources = chosen.resources if chosen else []  # Refuses a missing package before the work.
    model = fine_tuning.merged(model)
    content = {**model_card.make(model, chosen, names), **entries}
    with target:
        made = _signatures(model, chosen, names, beams)
        functions = {name: signature.function.get_concrete_function() for name, signature in made.items()}

    def write(folder: pathlib.Path) -> None:
        # Only the weights and the signatures, nothing of Keras. Functions as attributes would be traced again.
        module = tf.Module()
        module.weights = [variable.value for variable in model.variables]
        module.resources = resources
        signatures = {**functions, _DEFAULT: functions["predict"]}
        # Exports are not trained, and tracing the gradients would take several times as long as all the rest.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), signatures=signatures, options=options)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        warm_up.write(extra, {name: signature.example for name, signature in made.items()})
        inputs = {name: signature.inputs for name, signature in made.items()}
        model_card.write(extra, {**content, "signatures": model_card.describe_signatures(functions, inputs)})

    return versions.write_next(versions_folder, write)


def _target(device: str | None, memory_bytes: int | None) -> contextlib.AbstractContextManager[None]:
    arguments.optional(functools.partial(arguments.choice, choices=_DEVICES), "device", device)
    memory_bytes = arguments.optional(arguments.positive_integer, "memory_bytes", memory_bytes)
    if memory_bytes is not None and device in (None, "CPU"):
        raise ValueError(
            f"memory_bytes must be None unless device is GPU or TPU. Received: memory_bytes={memory_bytes}, "
            f"device={device!r}"
        )
    return contextlib.nullcontext() if device is None else budgets.target(device, memory_bytes)


def _signatures(
    model: keras.Model, tokenizer: Tokenizer | None, labels: Sequence[str], max_beams: int
) -> dict[str, ids_signatures.Signature]:
    if isinstance(model, ReformerSeq2Seq):
        return seq2seq_signatures.make(model, tokenizer, max_beams)
    if not isinstance(model, HeadedModel):
        return ids_signatures.make_plain(model)
    rows = IndependentRows(model)
    made = ids_signatures.make(model, rows)
    if isinstance(model, ReformerClassifier):
        return made | class_signatures.make(model, rows, tokenizer, labels)
    return made if tokenizer is None else made | text_signatures.make(model, rows, tokenizer)

"""Signatures of a classifier: `classify`, and `predict` of pairs.

Shape letters: B batch, L length, T tokens of the longest text, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.export import requests, text_signatures
from reformer_tf.export.ids_signatures import EXAMPLE_LENGTH, IDS, Signature
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.models import ReformerClassifier, text_pairs
from reformer_tf.ops import graph_checks
from reformer_tf.tokenizers import Tokenizer

_SECOND = "_pair"


def make(
    model: ReformerClassifier, rows: IndependentRows, tokenizer: Tokenizer | None, labels: Sequence[str]
) -> dict[str, Signature]:
    """Makes the signatures of a classifier, by name. See `reformer_tf.export.export_saved_model`.

    Args:
        model: the classifier.
        rows: runs its backbone.
        tokenizer: its tokenizer; None if it reads ids.
        labels: the names of the classes; their numbers if there are none.
    """
    inputs = _Inputs(rows, model.pair, None)
    made = {"predict": inputs.signature(lambda logits: {"logits": logits})} if model.pair else {}
    names = tf.constant([str(label) for label in labels or range(model.num_classes)])

    def outputs(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.argmax(logits, axis=1, output_type=tf.int32)
        return {"probabilities": tf.nn.softmax(logits), "label": tf.gather(names, found), "class": found}

    return {**made, "classify": _Inputs(rows, model.pair, tokenizer).signature(outputs)}


class _Inputs:
    """The inputs of a signature, one text or ids, or two of them.

    Args:
        rows: runs the model.
        pair: whether there are two.
        tokenizer: for texts; None for ids.
    """

    def __init__(self, rows: IndependentRows, pair: bool, tokenizer: Tokenizer | None):
        self._rows = rows
        self._tokenizer = tokenizer
        first = IDS if tokenizer is None else text_signatures.TEXT
        second = tf.TensorSpec(first.shape, first.dtype, f"{first.name}{_SECOND}")
        self._specs = [first, second] if pair else [first]

    def signature(self, outputs: Any) -> Signature:
        """Makes the signature whose outputs a function makes of the logits `[B, C]`."""

        @tf.function(input_signature=requests.any_rank_specs(self._specs), autograph=False)
        def function(*values: tf.Tensor) -> dict[str, tf.Tensor]:
            return outputs(self._rows.outputs(*self._encoded(values)))

        length = min(EXAMPLE_LENGTH, self._rows.longest)
        ids = np.arange(length, dtype=np.int32)[None] % self._rows.vocabulary_size
        example = ids if self._tokenizer is None else np.array([b""], object)
        return Signature(function, tuple(self._specs), {spec.name: example for spec in self._specs})

    def _encoded(self, values: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The ids of all sequences, `[B, L]` or, alternating those of a pair, `[2B, L]`, and their lengths."""
        specs = self._specs
        checked = [requests.with_rank(spec, value) for spec, value in zip(specs, values, strict=True)]
        if len(checked) == 2:
            first, second = checked
            fits = requests.one_a_row(specs[1].name, second, first, specs[0].name)
            checked = [first, graph_checks.checked(second, fits)]
        parts = [self._ids(spec.name, value) for spec, value in zip(specs, checked, strict=True)]
        if len(parts) == 1:
            return parts[0]
        ids, lengths = zip(*parts, strict=True)
        return text_pairs.interleave(list(ids)), tf.reshape(tf.stack(lengths, axis=1), [-1])

    def _ids(self, name: str, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows, tokenizer = self._rows, self._tokenizer
        if tokenizer is None:
            return requests.padded_ids(value, rows.vocabulary_size, 1, rows.longest, name)
        value = graph_checks.checked(value, requests.has_rows(name, value))
        # Unlike in a language model, the last token is an input, beside the boundary.
        ids, lengths = tokenizer.encode(value, 0, rows.longest - 1, name)
        return text_signatures.after_boundary(tokenizer, ids), lengths + 1

"""Shows people some examples of a classification beside what the model says."""

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.models import text_pairs
from reformer_tf.tokenizers import Tokenizer
from trainer.data import id_slices
from trainer.data.labelled_examples import LabelledExamples

_EXAMPLES = 8
_SHOWN = 60  # Bytes of a text, or half as many ids, that a line has.


def describe(model: keras.Model, examples: LabelledExamples, tokenizer: Tokenizer | None) -> str:
    """Writes a line for each of a few examples: whether the label is right, its probability, the true one, the text.

    Args:
        model: A classifier.
        examples: The examples to choose from.
        tokenizer: Tokenizer of the ids; None if they stand for no text.
    """
    count = min(_EXAMPLES, len(examples))
    indices = tf.constant(id_slices.spread(len(examples), count), tf.int64)
    *rows, labels = examples.gather(indices)
    probabilities = tf.nn.softmax(model(dict(zip(text_pairs.INPUTS, rows, strict=False)))).numpy()
    said = examples.documents.label_names
    lines = []
    for row, label in enumerate(labels.numpy()):
        found = int(np.argmax(probabilities[row]))
        parts = zip(rows[::2], rows[1::2], strict=True)
        texts = [_shown(ids.numpy()[row][mask.numpy()[row]], tokenizer) for ids, mask in parts]
        mark = "right" if found == label else "wrong"
        truth = "" if found == label else f", not {said[label]}"
        lines.append(f"{mark}: {said[found]} ({probabilities[row, found]:.3f}){truth}: {' | '.join(texts)}")
    return "\n".join(lines) + "\n"


def _shown(ids: np.ndarray, tokenizer: Tokenizer | None) -> str:
    if tokenizer is None:
        return " ".join(map(str, ids[: _SHOWN // 2])) + (" ..." if len(ids) > _SHOWN // 2 else "")
    text = tokenizer.to_bytes(ids)
    return repr(text[:_SHOWN].decode("utf-8", errors="replace")) + ("..." if len(text) > _SHOWN else "")

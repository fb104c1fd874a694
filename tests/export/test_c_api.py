"""Exports run by TensorFlow's C API in a process without Python, as in TensorFlow Serving."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export import c_program


@pytest.mark.parametrize("kind", ["strictly_causal", "chunks"])
def test_scores_of_strings_without_python(program, exports, kind):
    model, exported = exports[kind].model, exports[kind].path
    longest = model.backbone.config["max_sequence_length"]
    texts = ["a", "", "def main():", "a" * (longest + 1), "é"]
    lines = c_program.score(program, exported, "token_log_probabilities", texts)
    for text, line in zip(texts, lines, strict=True):
        if 1 <= len(text.encode()) <= longest:
            ids = tf.constant([[256, *text.encode()]])
            call = tf.function(model.token_losses, autograph=False)
            np.testing.assert_allclose(c_program.numbers(line), -call(ids)[0], atol=1e-5)
        else:
            assert line.startswith("error")
            assert f"`text` must have from 1 to {longest} bytes a row" in line
            assert f"[{len(text)}]" in line

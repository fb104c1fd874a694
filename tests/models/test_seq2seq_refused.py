"""Arguments, inputs and sources that an encoder-decoder refuses by name."""

import numpy as np
import pytest

from reformer_tf.models import ReformerSeq2Seq
from tests.models.seq2seq_cases import SIZES, data, make


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"target_vocabulary_size": 0}, "target_vocabulary_size must be a positive integer.*0"),
        ({"share_embeddings": True}, "source_vocabulary_size and target_vocabulary_size must be equal.*11 and 5"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be a number in \[0, 1\).*1.0"),
        ({"cross_attention": "lsh"}, r"cross_attention must be one of \['full', 'performer'\].*'lsh'"),
        ({"encoder_attention_layers": ["full", "mine"]}, "encoder_attention_layers must name kinds.*'mine'"),
        ({"decoder_attention_layers": ["full"] * 3}, "decoder_attention_layers must name the kind of each layer.*2"),
        ({"cross_attention": "performer", "attention_dropout": 0.1}, "attention_dropout must be left out.*'performer'"),
        ({"cross_attention_options": {"features": "elu"}}, "cross_attention_options must hold arguments.*'features'"),
        ({"encoder_options": {"causal": True}}, "encoder_options must hold arguments of ReformerBackbone.*'causal'"),
        (
            {"attention_options": {"lsh": {}}},
            r"attention_options must be for kinds in use, which are \['full'\].*'lsh'",
        ),
        ({"max_sequence_length": 5}, "Arguments of ReformerSeq2Seq must be some of.*max_sequence_length"),
        ({"combine_streams": "concatenate"}, "tie_embeddings must be False with combine_streams"),
    ],
)
def test_arguments_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        ReformerSeq2Seq(**{**SIZES, **changes})


def test_inputs_are_refused_by_name():
    model, pairs = make(num_encoder_layers=1, num_decoder_layers=1), data()
    for inputs, message in (
        ({"source": pairs["source"]}, 'x must be a dict of "source" and "target"'),
        (pairs["source"], 'x must be a dict of "source" and "target"'),
        ({**pairs, "ids": pairs["source"]}, "Received: .*'ids'"),
        ({**pairs, "source_mask": pairs["source_mask"][:2]}, "source_mask must be a boolean or integer tensor"),
        ({"source": pairs["source"][:2], "target": pairs["target"]}, "the same number of rows. Received: 2 and 3"),
        ({**pairs, "target_mask": pairs["source_mask"]}, "target_mask must be a boolean or integer tensor.*9"),
        ({"source": pairs["source"] + 100, "target": pairs["target"]}, "ids must be"),
        ({"source": np.zeros((3, 41), "int32"), "target": pairs["target"]}, "40"),
        ({"source": pairs["source"], "target": np.zeros((3, 25), "int32")}, "24"),
    ):
        with pytest.raises(ValueError, match=message):
            model.token_losses(inputs)
    model.compile("sgd")
    with pytest.raises(ValueError, match="fit takes no y"):
        model.fit(pairs, pairs["target"], verbose=0)
    for changes, message in (
        ({"sources": [[11]]}, "sources must be ids from 0 to vocabulary_size - 1 = 10"),
        ({"sources": [[1] * 41]}, "sources must fit max_source_length=40. Received: a source of 41 ids"),
        ({"max_new_tokens": 25}, "max_new_tokens must be at most max_target_length=24"),
        ({"stop_tokens": [5]}, "stop_tokens must be ids from 0 to vocabulary_size - 1 = 4"),
        ({"seed": [1, 2]}, "seed must be"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(**{"sources": [[1]], "max_new_tokens": 3, **changes})

"""Translations of examples: in which batches, with which options."""

from reformer_tf.tokenizers import ByteTokenizer
from tests.trainer.tasks import cases
from tests.trainer.tasks.copies import Copies
from trainer.data.pair_documents import PairDocuments
from trainer.data.pair_examples import PairExamples
from trainer.tasks import translator
from trainer.tasks.translator import Translator


def test_examples_are_translated_by_length_and_returned_in_their_sequence():
    documents = PairDocuments.from_pairs((source, b"") for source in (b"1", b"21", b"100", b"7"))
    examples = PairExamples(documents, ByteTokenizer(), 3, 1)
    model, done = Copies(), []
    found = Translator(ByteTokenizer(), 9, "beam", num_beams=2).translate_examples(model, examples, 3, done.append)
    assert found == ["1", "21", "100", "7"]
    assert done == [0, 3]
    assert [sources for sources, _ in model.asked] == [[[*b"1"], [*b"7"], [*b"21"]], [[*b"100"]]]
    expected = {"max_new_tokens": 9, "sampler": "beam", "num_beams": 2, "stop_tokens": [256]}
    assert all(options == expected for _, options in model.asked)


def test_the_options_of_the_translations(tmp_path):
    config, asked = cases.make_config("sequence_to_sequence", tmp_path), []
    for sampler, most in (("beam", 0), ("greedy", 5)):
        config.translation.sampler, config.translation.max_new_tokens = sampler, most
        model = Copies()
        Translator.from_config(config).translate(model, [[1]])
        asked.append(model.asked[0][1])
    assert asked == [
        {"max_new_tokens": 72, "sampler": "beam", "num_beams": 2, "length_penalty": 0.6, "stop_tokens": [256]},
        {"max_new_tokens": 5, "sampler": "greedy", "stop_tokens": [256]},
    ]


def test_a_translation_without_what_cannot_be_read():
    ids = [*"für".encode(), 255, 300, 256]
    assert Translator(ByteTokenizer(), 9).translate(Copies(), [ids]) == ["für\ufffd"]


def test_exact_matches_are_of_all_characters():
    assert translator.exact_match(["a", "B", "c ", ""], ["a", "b", "c", ""]) == 0.5

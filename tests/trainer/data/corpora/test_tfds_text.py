"""Text of TFDS data sets."""

import pytest
import tensorflow_datasets as tfds

from tests.trainer.data.corpora.tiny_texts import TinyTexts
from trainer.data import datasets as data


@pytest.fixture(scope="module")
def tiny_texts(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    TinyTexts(data_dir=data_dir).download_and_prepare()
    return {"name": "tfds", "tfds_name": "tiny_texts", "tfds_text_key": "body", "data_dir": str(data_dir)}


def test_tfds_reads_splits(tiny_texts):
    corpus = data.load_corpus({**tiny_texts, "tfds_validation_split": "test"})
    assert sorted(corpus.train) == sorted(f"text {i}".encode() for i in range(40) if i != 1)
    assert sorted(corpus.validation) == [b"text 0", b"text 2"]
    assert corpus.name == "tiny_texts/1.0.0 train"
    again = data.load_corpus({**tiny_texts, "tfds_validation_split": "test"})
    assert again.train.fingerprint == corpus.train.fingerprint


def test_tfds_parts_the_only_split(tiny_texts):
    slices = {"tfds_train_split": "train[:50%]", "tfds_validation_split": "train[50%:]"}
    corpus = data.load_corpus({**tiny_texts, **slices})
    assert len(corpus.train) + len(corpus.validation) == 39
    assert not set(corpus.train) & set(corpus.validation)
    corpus = data.load_corpus({**tiny_texts, "tfds_validation_split": "", "validation_fraction": 0.2})
    assert len(corpus.train) + len(corpus.validation) == 39
    assert len(corpus.validation) == 8
    assert corpus.notes[0].startswith("To validate on: 8 whole document(s): '")
    before = data.load_corpus(
        {**tiny_texts, "tfds_validation_split": "", "validation_fraction": 0.2, "validation_rule": "whole_documents"}
    )
    assert 0 < before.validation.num_bytes <= 0.2 * (corpus.train.num_bytes + corpus.validation.num_bytes)


def test_tfds_scores_a_split(tiny_texts):
    saved = {**tiny_texts, "tfds_validation_split": "test"}
    test = [b"text 0", b"text 2"]
    for overrides, fields, name, count in (
        ([], {}, "the validation documents tiny_texts/1.0.0 test", 2),
        (["name", "tfds_name"], {}, "the validation documents tiny_texts/1.0.0 test", 2),
        (["tfds_validation_split"], {"tfds_validation_split": "train[:5]"}, "all of tiny_texts/1.0.0 train[:5]", 5),
        (["tfds_train_split"], {"tfds_train_split": "test"}, "all of tiny_texts/1.0.0 test", 2),
        (["tfds_name"], {"tfds_validation_split": "", "tfds_train_split": "test"}, "all of tiny_texts/1.0.0 test", 2),
    ):
        scored = data.load_scored({**saved, **fields}, overrides)
        assert scored.name == name
        assert len(scored.documents) == count
        assert count != 2 or sorted(scored.documents) == test
    with pytest.raises(ValueError, match=r"tfds_train_split and config.data.tfds_validation_split must not both be"):
        data.load_scored(saved, ["tfds_train_split", "tfds_validation_split"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tfds_name": ""}, "config.data.tfds_name must name a TFDS data set. Received: ''"),
        ({"tfds_name": "no_such_texts"}, "config.data.tfds_name must name a data set that TFDS knows. Received: 'no_"),
        ({"tfds_name": "tiny texts/"}, "config.data.tfds_name must name a data set that TFDS knows. Received: 'tiny "),
        ({"tfds_text_key": "label"}, "config.data.tfds_text_key must name a text feature, one of: body. .*: 'label'"),
        (
            {},
            "config.data.tfds_validation_split must be a split of tiny_texts/1.0.0, .* train.* Received: 'validation'",
        ),
        ({"tfds_train_split": "train[:0]"}, r"config.data.tfds_train_split must .*Received: 'train\[:0\]'"),
        ({"tfds_train_split": "test[1:2]", "tfds_validation_split": ""}, "config.data.tfds_.* Received: "),
    ],
)
def test_tfds_errors(tiny_texts, changes, message):
    with pytest.raises(ValueError, match=message):
        data.load_corpus({**tiny_texts, **changes})


def test_tfds_without_download_needs_prepared_data(tiny_texts, tmp_path):
    with pytest.raises(ValueError, match=r"config.data.tfds_download=False needs a data set that is prepared"):
        data.load_corpus({**tiny_texts, "tfds_download": False, "data_dir": str(tmp_path)})


@pytest.mark.parametrize("name", ["lm1b", "imdb_reviews/plain_text"])
def test_tfds_public_data_sets_by_name(name):
    with tfds.testing.mock_data(num_examples=5):
        corpus = data.load_corpus({"name": "tfds", "tfds_name": name, "tfds_validation_split": "test"})
    assert len(corpus.train) == len(corpus.validation) == 5
    assert corpus.name.startswith(name)
    with (
        tfds.testing.mock_data(num_examples=1),
        pytest.raises(ValueError, match=r"config.data.tfds_validation_split must be given where"),
    ):
        data.load_corpus({"name": "tfds", "tfds_name": name, "tfds_validation_split": ""})

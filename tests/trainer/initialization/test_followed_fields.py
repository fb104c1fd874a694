"""Which arguments of a model follow the run whose weights it begins with."""

import pytest
from ml_collections import ConfigDict

from trainer import config as configs
from trainer.initialization import followed_fields

SIZES = {
    "vocabulary_size": 257,
    "max_sequence_length": 512,
    "num_layers": 1,
    "hidden_dim": 16,
    "num_heads": 2,
    "key_dim": 8,
    "intermediate_dim": 16,
    "attention_layers": ["lsh"],
    "chunk_length": 8,
    "positions": "none",
}


def _config(init_positions="", **model):
    config = configs.default_config()
    config.init_positions = init_positions
    config.model = ConfigDict({**SIZES, **model})
    return config


def _followed(here, there):
    return followed_fields.from_source(here, there)


def _options(**options):
    return {"attention_options": {"lsh": options}}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, 128),
        ({"max_sequence_length": 2048}, [16, 32]),
        ({"num_buckets": 6}, 6),
        ({"num_buckets": [2, 4], "chunk_length": 4}, [2, 4]),
        (_options(num_buckets=10), 10),
        (_options(chunk_length=16), 64),
        (_options(max_sequence_length=64), 16),
    ],
)
def test_the_bucket_count_is_that_of_the_source(there, expected):
    """Whatever its length, chunks and options made of it."""
    longer = _config(max_sequence_length=4096)
    assert _followed(longer, _config(**there)) == {"num_buckets": expected}


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"num_buckets": 8}, {}),
        (_options(num_buckets=8), {}),
        ({"attention_layers": ["full"]}, {}),
        ({}, {"attention_layers": ["full"]}),
        (_options(window="chunk"), {}),
        ({}, _options(window="chunk")),
    ],
)
def test_no_bucket_count_where_there_is_another_or_none(here, there):
    assert _followed(_config(**here), _config(**there)) == {}


@pytest.mark.parametrize(
    ("length", "init_positions", "here", "expected"),
    [
        (60, "", {}, {"axial_shape": [8, 8], "axial_dims": [8, 8]}),
        (10, "", {}, {"axial_shape": [8, 8], "axial_dims": [8, 8]}),
        (65, "tile", {}, {"axial_shape": [9, 8], "axial_dims": [8, 8]}),
        (128, "tile", {"axial_shape": [8, 16]}, {"axial_dims": [8, 8]}),
        (64, "", {"axial_dims": [4, 12]}, {"axial_shape": [8, 8]}),
        (64, "", {"axial_shape": [4, 4, 4]}, {}),
    ],
)
def test_the_grid_of_positions_keeps_all_axes_but_the_first(length, init_positions, here, expected):
    axial = {"positions": "axial", "attention_layers": ["full"]}
    there = _config(**axial, max_sequence_length=60)
    assert _followed(_config(init_positions, **{**axial, "max_sequence_length": length, **here}), there) == expected


def test_another_grid_and_other_widths_are_followed():
    axial = {"positions": "axial", "attention_layers": ["full"], "max_sequence_length": 60}
    there = _config(**axial, axial_shape=[4, 3, 5], axial_dims=[2, 4, 10])
    assert _followed(_config(**axial), there) == {"axial_shape": [4, 3, 5], "axial_dims": [2, 4, 10]}


def test_fields_are_filled_in_where_they_are_left_out():
    config = _config(num_buckets=None, axial_dims=[1, 15])
    config.lock()
    followed_fields.fill_in(config, {"num_buckets": [2, 4], "axial_shape": [4, 5], "axial_dims": [8, 8]})
    assert (config.model.num_buckets, config.model.axial_shape) == ((2, 4), (4, 5))
    assert followed_fields.of_run(config) == {"num_buckets": [2, 4], "axial_shape": [4, 5], "axial_dims": [1, 15]}

"""Runs of pairs of texts that begin with the weights of one another: side by side, encoder and decoder."""

import numpy as np
import pytest

from reformer_tf.models import ReformerSeq2Seq
from reformer_tf.ops import bucket_counts
from tests.trainer.initialization import sources
from tests.trainer.tasks import cases
from trainer.initialization import followed_fields, matching, source_run
from trainer.model import build_model
from trainer.storage import named_variables
from trainer.storage.workdir import Workdir

LSH = {"encoder_attention_layers": ("lsh",), "chunk_length": 4}


@pytest.fixture
def config(tmp_path):
    config = cases.make_config("sequence_to_sequence", tmp_path)
    config.model = cases.make_pair_model(**LSH)
    return config


def _match(config, source, **options):
    return matching.match(
        named_variables.named_variables(build_model(config)), sources.weights(build_model(source)), **options
    )


def _longer(config, **lengths):
    longer = config.copy_and_resolve_references()
    longer.model.update(lengths)
    return longer


def test_names_say_which_side_a_variable_is_of(config):
    names = named_variables.named_variables(build_model(config))
    sides = {name.split("/")[1] for name in names if not named_variables.is_made_from_seed(name)}
    assert sides == {"encoder", "decoder", "head"}
    assert not [name for name in names if ":" in name and "/seed_generator/" not in name]


def test_a_shared_embedding_is_that_of_the_encoder():
    sizes = [20, 20, 16, 16, 1, 1, 8, 2, 4, 8, ["local"], ["local"]]
    names = named_variables.named_variables(ReformerSeq2Seq(*sizes, share_embeddings=True))
    assert [name for name in names if "/embeddings" in name] == ["model/encoder/TokenEmbedding/embeddings"]


def test_the_same_model_takes_everything_but_what_its_seed_makes(config):
    found = _match(config, config)
    assert (found.changed, found.initialised, found.left_out, found.misfits) == ([], [], [], [])
    assert len(found.values) > 30


def test_a_side_of_another_depth_does_not_fit(config):
    """Its layers are no layers of the other side."""
    deeper = _longer(config, num_decoder_layers=2)
    found = _match(deeper, config)
    assert found.misfits
    assert all(misfit.startswith("decoder/") and "_1" in misfit for misfit in found.misfits)


def test_tables_by_id_take_the_ids_that_both_have(config):
    more = _longer(config, source_vocabulary_size=260, target_vocabulary_size=259)
    found = _match(more, config)
    assert found.misfits == []
    assert [change.split(":")[0] for change in found.changed] == [
        "encoder/TokenEmbedding/embeddings",
        "decoder/ShiftedEmbedding/TokenEmbedding/embeddings",
        "head/bias",
    ]


def test_a_longer_run_keeps_the_buckets_and_positions_of_each_side(config, tmp_path):
    longer = _longer(config, max_source_length=64, max_target_length=144)
    longer.init_from, longer.init_positions = str(tmp_path / "source"), "tile"
    (arrays,) = sources.write(config, tmp_path / "source", losses=[(1, 1.0)]).values()
    run = source_run.begin(longer, Workdir(tmp_path / "new"))
    buckets = bucket_counts.default_num_buckets(config.model.max_source_length, config.model.chunk_length)
    assert run.followed == {
        "encoder_options": {"num_buckets": buckets[0], "axial_shape": [16, 4], "axial_dims": [8, 8]},
        "decoder_options": {"axial_shape": [9, 16], "axial_dims": [8, 8]},
    }
    assert followed_fields.of_run(longer) == run.followed
    model = build_model(longer)
    told = run.give(model)
    assert "Followed: decoder_options=" in told
    found = sources.weights(model)
    rows = arrays["model/encoder/position_embedding/axis_0"]
    np.testing.assert_array_equal(found["model/encoder/position_embedding/axis_0"][: len(rows)], rows)


def test_options_of_ones_own_stay(config):
    there = {"encoder_options": {"num_buckets": 4, "axial_shape": [8, 8]}, "decoder_options": {"axial_dims": [8, 8]}}
    config.model.encoder_options = {"num_buckets": 2, "num_hashes": 3}
    followed_fields.fill_in(config, there)
    assert config.model.encoder_options.to_dict() == {"num_buckets": 2, "num_hashes": 3, "axial_shape": [8, 8]}
    assert config.model.decoder_options.to_dict() == {"axial_dims": [8, 8]}

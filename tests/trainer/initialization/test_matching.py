"""Which weights of one model the variables of another take, bit for bit, and what is said of the others."""

import numpy as np
import pytest

from reformer_tf import models
from tests.trainer.initialization import sources
from trainer.initialization import matching
from trainer.storage import named_variables

SIZES = {
    "vocabulary_size": 257,
    "max_sequence_length": 32,
    "num_layers": 2,
    "hidden_dim": 8,
    "num_heads": 2,
    "key_dim": 4,
    "intermediate_dim": 16,
    "attention_layers": ["local", "lsh"],
    "chunk_length": 8,
}


def _matched(model, arrays, **options):
    return matching.match(named_variables.named_variables(model), arrays, **options)


def _is_head(name):
    return name.split("/")[1] in ("head", "hidden", "output_projection")


@pytest.fixture(scope="module")
def saved():
    """The weights of a language model."""
    return sources.weights(models.ReformerCausalLM(**SIZES, seed=1))


def test_the_same_model_takes_everything_but_what_its_seed_makes(saved):
    found = _matched(models.ReformerCausalLM(**SIZES, seed=2), saved)
    rest = saved.keys() - found.values.keys()
    assert {name.split("/")[-1].split(":")[0] for name in rest} == {"rotations", "seed_generator_state"}
    for name, value in found.values.items():
        np.testing.assert_array_equal(value, saved[name], err_msg=name)
    assert (found.changed, found.initialised, found.left_out, found.misfits) == ([], [], [], [])


def test_a_classifier_takes_the_backbone_of_a_language_model(saved):
    model = models.ReformerClassifier(**SIZES, num_classes=3, seed=2)
    found = _matched(model, saved, with_head=False)
    backbone = {name for name in saved if not named_variables.is_made_from_seed(name) and not _is_head(name)}
    assert found.values.keys() == backbone
    assert found.initialised == ["hidden/kernel", "hidden/bias", "output_projection/kernel", "output_projection/bias"]
    assert (found.left_out, found.misfits) == (["head/bias"], [])


def test_all_variables_of_a_backbone_count_as_such():
    """The names of what must fit are those of the backbone, however it is made."""
    for more in ({}, {"positions": "learned"}, {"positions": "none", "combine_streams": "concatenate"}):
        model = models.ReformerClassifier(**SIZES, num_classes=3, **more)
        own = {id(variable) for variable in model.backbone.variables}
        for name, variable in named_variables.named_variables(model).items():
            if not named_variables.is_made_from_seed(name):
                assert (id(variable) in own) == (not _is_head(name)), name
        empty = _matched(model, {})
        assert len(empty.misfits) == sum(not _is_head(f"model/{name}") for name in empty.initialised)


@pytest.mark.parametrize("vocabulary_size", [258, 256])
def test_tables_of_more_or_fewer_ids_take_the_rows_of_those_that_both_have(saved, vocabulary_size):
    model = models.ReformerCausalLM(**{**SIZES, "vocabulary_size": vocabulary_size}, seed=2)
    made = sources.weights(model)
    found = _matched(model, saved)
    for name in ("model/TokenEmbedding/embeddings", "model/head/bias"):
        expected = np.array([*saved[name][:vocabulary_size], *made[name][257:]])
        np.testing.assert_array_equal(found.values[name], expected)
    assert found.misfits == []
    assert found.changed[0] == (
        f"TokenEmbedding/embeddings: the vectors of {min(257, vocabulary_size)} ids, of {vocabulary_size} ids here and "
        "257 in the source"
    )


@pytest.mark.parametrize(
    ("size", "masks", "taken"),
    [
        (259, (True, True), [*range(256), None, None, 256]),
        (256, (True, True), [*range(255), 256]),
        (257, (True, False), [*range(256), None]),
        (257, (False, True), [*range(256), None]),
        (257, (True, True), range(257)),
        (300, (True, False), [*range(257), *[None] * 43]),
    ],
)
def test_a_mask_becomes_a_mask_and_no_other_id(saved, size, masks, taken):
    """`taken` has the row of the source for each row, None where it stays as it is made."""
    model = models.ReformerCausalLM(**{**SIZES, "vocabulary_size": size}, seed=2)
    made = sources.weights(model)
    found = _matched(model, saved, masks=masks)
    for name in ("model/TokenEmbedding/embeddings", "model/head/bias"):
        expected = [made[name][row] if old is None else saved[name][old] for row, old in enumerate(taken)]
        np.testing.assert_array_equal(found.values[name], expected)
    assert found.changed == [] or ("and the mask" in found.changed[0]) == all(masks)


def test_the_kernel_of_a_head_takes_columns():
    made, model = (
        models.ReformerCausalLM(**{**SIZES, "vocabulary_size": size}, tie_embeddings=False) for size in (257, 258)
    )
    saved = sources.weights(made)
    value = _matched(model, saved).values["model/head/kernel"]
    np.testing.assert_array_equal(value[:, :257], saved["model/head/kernel"])
    np.testing.assert_array_equal(value[:, 257:], sources.weights(model)["model/head/kernel"][:, 257:])


def test_tables_by_id_are_left_where_ids_do_not_mean_the_same(saved):
    found = _matched(models.ReformerCausalLM(**SIZES, seed=2), saved, with_id_tables=False)
    assert found.initialised == found.left_out == ["TokenEmbedding/embeddings", "head/bias"]
    assert found.misfits == []


def test_layers_of_another_kind_match_where_names_do(saved):
    found = _matched(models.ReformerCausalLM(**{**SIZES, "attention_layers": ["full", "lsh"]}), saved)
    assert found.misfits == []
    new, old = (f"model/stack/{kind}_attention_0_branch/{kind}_attention_0/query" for kind in ("full", "local"))
    np.testing.assert_array_equal(found.values[new], saved[old])


def test_what_does_not_fit_is_named_on_both_sides(saved):
    """Local layers have two kernels where LSH layers have one."""
    wider = {**SIZES, "attention_layers": ["lsh", "lsh"], "intermediate_dim": 24}
    found = _matched(models.ReformerCausalLM(**wider), saved)
    layer = "stack/lsh_attention_0_branch/lsh_attention_0/query_key is not in the source"
    shape = "stack/feed_forward_0_branch/feed_forward_0/inner_kernel is [8, 24] here and [8, 16] in the source"
    assert {layer, shape, "stack/local_attention_0_branch/local_attention_0/key is only in the source"} <= {
        *found.misfits
    }
    assert "stack/feed_forward_0_branch/feed_forward_0/inner_kernel" in {*found.initialised} & {*found.left_out}
    assert "model/stack/lsh_attention_0_branch/lsh_attention_0/value" in found.values


def _vectors(weights):
    """Slow reference: the position vector of each position that the tables reach, in one list."""
    if "model/position_embedding/table" in weights:
        return list(weights["model/position_embedding/table"])
    first, second = (weights[f"model/position_embedding/axis_{axis}"] for axis in (0, 1))
    return [np.concatenate([row, column]) for row in first for column in second]


@pytest.mark.parametrize("positions", ["axial", "learned"])
def test_positions_are_repeated(positions):
    """32 positions become fewer or more: position p has the vector of p modulo 32."""
    sizes = {**SIZES, "num_layers": 1, "attention_layers": ["full"], "positions": positions}
    model = models.ReformerCausalLM(**sizes, seed=1)
    saved = sources.weights(model)
    old = _vectors(saved)
    for length in (16, 80):
        shape = {"axial_shape": [length // 8, 8]} if positions == "axial" else {}
        other = models.ReformerCausalLM(**{**sizes, "max_sequence_length": length}, **shape)
        found = _matched(other, saved, tile=True)
        new = _vectors(found.values)
        assert (len(new), found.misfits) == (length, [])
        for position, vector in enumerate(new):
            np.testing.assert_array_equal(vector, old[position % 32])
        # Without repetition only fewer positions fit.
        assert bool(_matched(other, saved).misfits) == (length > 32)


def test_another_grid_is_taken_axis_by_axis(saved):
    model = models.ReformerCausalLM(**{**SIZES, "max_sequence_length": 64}, axial_shape=[4, 16])
    found = _matched(model, saved, tile=True)
    second = saved["model/position_embedding/axis_1"]
    np.testing.assert_array_equal(found.values["model/position_embedding/axis_1"], [*second, *second])
    assert found.changed == [
        "position_embedding/axis_1: repeated from 8 to 16 rows, so that positions have other vectors than before"
    ]
    assert found.misfits == []


def test_positions_of_another_kind_do_not_fit(saved):
    found = _matched(models.ReformerCausalLM(**SIZES, positions="learned"), saved, tile=True)
    assert "position_embedding/table is not in the source" in found.misfits
    assert "position_embedding/axis_0 is only in the source" in found.misfits

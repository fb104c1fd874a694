"""Presets: the published sizes, and models made from them."""

import numpy as np
import pytest

from reformer_tf import models
from reformer_tf.models import presets

# The published configurations: (vocabulary, longest, width, heads, size, inner width, layers, chunk lengths,
# rounds, buckets, axes, their widths).
PUBLISHED = {
    "reformer-enwik8": (
        (258, 65536, 1024, 8, 128, 4096, "local local lsh local " * 3, 256, 128),
        (4, 512, (128, 512), (256, 768)),
    ),
    "reformer-crime-and-punishment": (
        (320, 524288, 256, 2, 64, 512, "local lsh " * 3, 64, 64),
        (1, [64, 128], (512, 1024), (64, 192)),
    ),
}
# Small enough for a test; all other arguments are as published.
SMALL = {
    "hidden_dim": 16,
    "axial_dims": [4, 12],
    "num_heads": 2,
    "key_dim": 4,
    "intermediate_dim": 16,
    "axial_shape": [32, 32],
    "max_sequence_length": 1024,
}
CLASSES = [
    (models.ReformerBackbone, {}),
    (models.ReformerCausalLM, {}),
    (models.ReformerMaskedLM, {}),
    (models.ReformerClassifier, {"num_classes": 2}),
    (models.ReformerSpanPredictor, {}),
]


def _layers(backbone):
    return [branch.layer for branch in backbone.get_layer("stack").branches]


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_layers_are_as_published(name):
    """Widths are small here; all other arguments are the preset's."""
    (vocabulary, longest, *_, kinds, lsh_chunk, local_chunk), (rounds, buckets, axes, _) = PUBLISHED[name]
    widths = {key: SMALL[key] for key in ("hidden_dim", "axial_dims", "num_heads", "key_dim", "intermediate_dim")}
    backbone = models.ReformerBackbone.from_preset(name, **widths)
    attention, feed_forward = _layers(backbone)[::2], _layers(backbone)[1::2]
    assert [layer.name.split("_")[0] for layer in attention] == kinds.split()
    for layer in attention:
        is_lsh = layer.name.startswith("lsh")
        assert layer.chunk_length == (lsh_chunk if is_lsh else local_chunk)
        assert (layer.window, layer.wrap, layer.chunks_before, layer.chunks_after) == ("chunk", True, 1, 0)
        assert layer.length_multiple == max(lsh_chunk, local_chunk)
        # Both chunks divide the multiple: a layer is exact up to its own chunk, like the original.
        assert layer.exact_length == layer.chunk_length
        if is_lsh:
            assert (layer.num_hashes, layer.num_buckets, layer.max_sequence_length) == (rounds, buckets, longest)
            assert not layer.local_round
    assert all(layer.activation.__name__ == "relu" for layer in feed_forward)
    assert backbone.get_layer("position_embedding").axial_shape == axes
    assert (backbone.token_embedding.vocabulary_size, backbone.token_embedding.scale) == (vocabulary, 1.0)
    assert backbone.get_layer("final_norm").epsilon == 1e-12
    assert backbone.output_dim == 2 * 16


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_sizes_are_as_published(name):
    (_, _, width, heads, size, inner, *_), (_, _, _, axial_dims) = PUBLISHED[name]
    arguments = presets.get(name)
    found = [arguments[key] for key in ("hidden_dim", "num_heads", "key_dim", "intermediate_dim", "axial_dims")]
    assert found == [width, heads, size, inner, list(axial_dims)]


def test_the_complete_smaller_model():
    model = models.ReformerCausalLM.from_preset("reformer-crime-and-punishment")
    assert model.backbone.output_dim == 512 and not model.tie_embeddings
    assert model(np.zeros((1, 70), "int32")).shape == (1, 70, 320)


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
@pytest.mark.parametrize("model, options", CLASSES, ids=[model.__name__ for model, _ in CLASSES])
def test_every_model_is_made_from_every_preset(name, model, options):
    made = model.from_preset(name, **SMALL, **options)
    assert type(made) is model
    assert made.get_config()["vocabulary_size"] == PUBLISHED[name][0][0]
    assert made.get_config()["hidden_dim"] == 16
    assert model.from_config(made.get_config()).get_config() == made.get_config()


@pytest.mark.parametrize("model, options", CLASSES, ids=[model.__name__ for model, _ in CLASSES])
def test_an_unknown_name_is_an_error_that_lists_the_names(model, options):
    with pytest.raises(ValueError, match="'reformer-crime-and-punishment', 'reformer-enwik8'.*Received: name='bert'"):
        model.from_preset("bert", **options)


def test_a_preset_is_a_copy():
    presets.get("reformer-enwik8")["attention_options"]["lsh"]["wrap"] = False
    assert presets.get("reformer-enwik8")["attention_options"]["lsh"]["wrap"] is True

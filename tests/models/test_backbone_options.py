"""Options of the backbone: arguments of each kind of attention, both streams, epsilon, scale; and the head's bias."""

import keras
import numpy as np
import pytest

from reformer_tf.models import ReformerBackbone, ReformerCausalLM
from tests.models import cases


def _backbone(**changes):
    return cases.perturb(ReformerBackbone(**{**cases.ARGUMENTS, **changes}))


def _attention(backbone):
    return {branch.layer.name: branch.layer for branch in backbone.get_layer("stack").branches[::2]}


def _normalized(x, layer):
    x = np.asarray(x, np.float64)
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + layer.epsilon)
    return x * np.asarray(layer.gamma) + np.asarray(layer.beta)


def test_attention_options_are_those_of_a_kind_and_override_the_others():
    options = {"lsh": {"num_buckets": (2, 4), "local_round": False, "num_hashes": 3}, "local": {"use_bias": True}}
    backbone = _backbone(attention_options=options, attention_layers=["local", "lsh", "local", "lsh"], num_layers=4)
    for name, layer in _attention(backbone).items():
        assert layer.use_bias == name.startswith("local") and layer.chunk_length == 8
        if name.startswith("lsh"):
            assert (layer.num_buckets, layer.local_round, layer.num_hashes) == ([2, 4], False, 3)
    assert options["lsh"]["num_buckets"] == (2, 4)
    assert backbone.get_config()["attention_options"]["lsh"]["num_buckets"] == [2, 4]
    assert not _attention(_backbone(local_round=False))["lsh_attention_1"].local_round
    assert _attention(_backbone())["lsh_attention_1"].local_round


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lhs": {}}, r"attention_options must be for kinds .* which are \['local', 'lsh'\]. Received: 'lhs'"),
        ({"full": {"rotary": True}}, r"attention_options must be for kinds .*Received: 'full'"),
        (
            {"local": {"num_hashes": 2}},
            r"attention_options\['local'\] must hold.*chunk_length.*Received: \['num_hashes'",
        ),
        (
            {"lsh": {"causal": False}},
            r"attention_options\['lsh'\] must hold.*other than causal.*Received: \['causal'\]",
        ),
        ({"lsh": {"seed": 1}}, r"attention_options\['lsh'\] must hold.*and seed.*Received: \['seed'\]"),
        ({"lsh": {"name": "x", "dtype": "float16"}}, r"must hold arguments.*Received: \['dtype', 'name'\]"),
        ({"lsh": {"num_buckets": 7}}, "num_buckets must be a positive even integer.*7"),
        ({"lsh": 3}, r"attention_options\['lsh'\] must be a dict. Received: attention_options\['lsh'\]=3"),
        (["lsh"], r"attention_options must be a dict. Received: attention_options=\['lsh'\]"),
    ],
)
def test_attention_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        _backbone(attention_options=options)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"combine_streams": "sum"}, r"combine_streams must be one of \('mean', 'concatenate'\).*'sum'"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon must be a positive number. Received: layer_norm_epsilon=0.0"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon must be a positive number.*'small'"),
        ({"embedding_scale": -1.0}, "embedding_scale must be a positive number. Received: embedding_scale=-1.0"),
        ({"embedding_scale": float("nan")}, "embedding_scale must be a positive number.*nan"),
    ],
)
def test_other_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        _backbone(**changes)


def test_both_streams_side_by_side_then_normalized():
    ids = cases.ids()
    for combination in ("mean", "concatenate"):
        backbone = _backbone(combine_streams=combination)
        x = backbone.get_layer("position_embedding")(backbone.token_embedding(ids))
        first, second = backbone.get_layer("stack")([x, x])
        assert np.abs(first - second).max() > 0.1
        combined = (first + second) / 2 if combination == "mean" else np.concatenate([first, second], axis=-1)
        expected = _normalized(combined, backbone.get_layer("final_norm"))
        assert backbone.output_dim == expected.shape[-1] == (16 if combination == "mean" else 32)
        np.testing.assert_allclose(backbone(ids), expected, atol=1e-4)


def test_epsilon_is_that_of_all_normalisations():
    backbone = _backbone(layer_norm_epsilon=0.5)
    stack = backbone.get_layer("stack")
    norms = [branch.normalization for branch in stack.branches] + [backbone.get_layer("final_norm")]
    assert len(norms) == 5 and {norm.epsilon for norm in norms} == {0.5}
    x = np.random.default_rng(0).normal(size=(1, 5, 16)).astype("float32")
    np.testing.assert_allclose(norms[0](x), _normalized(x, norms[0]), atol=1e-5)
    assert {branch.normalization.epsilon for branch in _backbone().get_layer("stack").branches} == {1e-6}


@pytest.mark.parametrize("scale", [None, 1.0, 3])
def test_token_vectors_are_rows_times_the_scale(scale):
    backbone, ids = _backbone(embedding_scale=scale), cases.ids()
    table = np.asarray(backbone.token_embedding.embeddings)
    np.testing.assert_allclose(backbone.token_embedding(ids), table[ids] * (4.0 if scale is None else scale), rtol=1e-6)


def test_configs_clones_and_files_keep_the_backbone(tmp_path):
    backbone, ids = _backbone(**cases.TWO_STREAMS, positions="sinusoidal", causal=True), cases.ids()
    config = backbone.get_config()
    backbone.save(tmp_path / "backbone.keras")
    clone = keras.models.clone_model(backbone)
    clone.set_weights(backbone.get_weights())
    loaded = keras.models.load_model(tmp_path / "backbone.keras")
    assert loaded.get_config() == config
    for other in (clone, loaded):
        np.testing.assert_allclose(other(ids), backbone(ids), atol=1e-6)
    assert all(config[name] == value for name, value in cases.TWO_STREAMS.items())


def test_concatenated_streams_cannot_be_tied():
    with pytest.raises(
        ValueError, match="tie_embeddings must be False.*tie_embeddings=True, combine_streams='concatenate'"
    ):
        ReformerCausalLM(**cases.ARGUMENTS, combine_streams="concatenate")


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_a_head_without_bias_is_one_with_zeros(tie_embeddings):
    models = [cases.make("causal_lm", tie_embeddings=tie_embeddings, head_bias=bias) for bias in (True, False)]
    with_bias, without = models
    assert with_bias.head.bias is not None and without.head.bias is None
    with_bias.head.bias.assign(np.zeros(cases.VOCABULARY))
    with_bias.backbone.set_weights(without.backbone.get_weights())
    if not tie_embeddings:
        with_bias.head.kernel.assign(without.head.kernel)
    ids = cases.ids()
    np.testing.assert_allclose(with_bias(ids), without(ids), atol=1e-5)
    np.testing.assert_allclose(with_bias.token_losses(ids), without.token_losses(ids), atol=1e-5)
    assert len(with_bias.trainable_variables) == len(without.trainable_variables) + 1

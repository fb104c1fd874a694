"""Constructor and call arguments of every model, and another model's config, are used or refused by name."""

import inspect
import itertools
import json

import numpy as np
import pytest

from reformer_tf import layers, models
from tests.models.test_ids_outside import MODELS, SMALL

each = pytest.mark.parametrize("case", sorted(MODELS))
BOOLEANS = ("reversible", "gated", "rotary", "redraw_rotations", "tie_embeddings", "head_bias", "trainable", "causal")
SIZES = ("num_layers", "hidden_dim", "intermediate_dim", "chunk_length", "local_chunk_length", "num_classes", "seed")
RATES = ("dropout", "attention_dropout", "head_dropout")


def _arguments(case):
    """Names of all arguments of a model."""
    owners = (MODELS[case][0], models.ReformerBackbone)
    return {name for owner in owners for name in inspect.signature(owner).parameters}


@each
def test_values_of_a_wrong_type_are_refused_by_name(case):
    model, own = MODELS[case]
    wrong = {
        **dict.fromkeys(BOOLEANS, ("yes", 1, None)),
        **dict.fromkeys(SIZES, (1.5, "3", True, -1)),
        **dict.fromkeys(RATES, ("0.1", 1.0, True)),
        "axial_shape": (5, "ab"),
        "ignore_id": (1.5, "pad"),
    }
    language_model = case in ("causal_lm", "masked_lm")
    for name in sorted(_arguments(case) & set(wrong)):
        if language_model and name == "causal":
            continue
        for value in wrong[name]:
            with pytest.raises(ValueError, match=rf"\b{name}\b.*Received"):
                model(**{**SMALL, **own, name: value})


@each
def test_unknown_names_are_refused_by_name(case):
    model, own = MODELS[case]
    for build in (
        lambda: model(**SMALL, **own, use_bias=True, droput=0.1),
        lambda: model.from_config({**SMALL, **own, "use_bias": True, "droput": 0.1}),
        lambda: model.from_preset("reformer-enwik8", **own, use_bias=True, droput=0.1),
    ):
        with pytest.raises(ValueError, match=rf"Arguments of {model.__name__} must be .*Received: droput, use_bias"):
            build()


@pytest.mark.parametrize("first, second", list(itertools.permutations(sorted(MODELS), 2)))
def test_the_config_of_another_model_is_used_completely_or_refused(first, second):
    (source, own), (target, _) = MODELS[first], MODELS[second]
    config = source(**SMALL, **own).get_config()
    for build in (target.from_config, lambda config: target(**config)):
        try:
            model = build(dict(config))
        except (ValueError, TypeError) as error:
            named = set(
                str(error).replace("'", " ").replace(",", " ").replace("=", " ").split("Received: ")[-1].split()
            )
            assert named & (set(config) | {"num_classes"})
        else:
            found = model.get_config()
            assert {name: found.get(name) for name in config} == config


@each
def test_numbers_of_numpy_become_pythons(case):
    model, own = MODELS[case]
    passed = {**SMALL, **own}
    passed = {name: np.int64(value) if type(value) is int else value for name, value in passed.items()}
    built = model(**passed, dropout=np.float32(0.5), gated=np.True_, axial_shape=(np.int32(4), np.int32(4)))
    config = json.loads(json.dumps(built.get_config()))
    assert config["hidden_dim"] == 8 and config["dropout"] == 0.5 and config["gated"] is True
    assert model.from_config(config).get_config() == built.get_config()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"axial_shape": [4, 4], "positions": "learned"}, r'axial_shape must be left out unless positions="axial"'),
        ({"axial_dims": [4, 4], "positions": "none"}, r"axial_dims must be left out.*Received: .*positions='none'"),
    ],
)
@each
def test_arguments_that_no_layer_would_take_are_refused(case, options, message):
    model, own = MODELS[case]
    with pytest.raises(ValueError, match=message):
        model(**{**SMALL, **options}, **own)


@each
def test_unknown_call_arguments_are_refused_by_name(case):
    model, own = MODELS[case]
    built = model(**SMALL, **own)
    for name in ("attention_mask", "token_type_ids"):
        with pytest.raises((TypeError, ValueError), match=name):
            built(np.zeros((1, 8), "int32"), **{name: np.ones((1, 8), "int32")})


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: layers.ChunkedFeedForward(8, gated="yes"), "gated must be True or False. Received: gated='yes'"),
        (lambda: layers.ChunkedFeedForward(8, use_bias=1), "use_bias must be True or False. Received: use_bias=1"),
        (lambda: layers.ReversibleStack([(None, None)], reversible="no"), "reversible must be True or False"),
        (lambda: layers.ReversibleStack([(None, None)], seed=1.5), "seed must be an integer. Received: seed=1.5"),
        (lambda: layers.ResidualBranch(layers.ChunkedFeedForward(8), epsilon="x"), "epsilon must be a positive number"),
        (lambda: layers.ChunkedLayerNormalization(center=False), "does not take center. Received: center=False"),
        (lambda: layers.ChunkedLayerNormalization(axis=1), "does not take axis. Received: axis=1"),
        (lambda: layers.AxialPositionEmbedding(5, (4, 4)), "axial_shape must be a list of integers. Received: .*=5"),
        (lambda: layers.SinusoidalPositionEmbedding(scale="x"), "scale must be a finite number. Received: scale='x'"),
        (lambda: layers.SinusoidalPositionEmbedding(max_wavelength=0), "max_wavelength must be a positive number"),
    ],
)
def test_arguments_of_layers_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()

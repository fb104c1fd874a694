"""A model refuses, by name and with the way out, what its kinds of attention cannot do."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import text_signatures
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.layers import ResidualBranch, ReversibleStack
from reformer_tf.layers.attention import SelfAttention
from reformer_tf.layers.attention.capabilities import PREFIX_AGAIN, AttentionCapabilities
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.models import ReformerBackbone, ReformerCausalLM, ReformerMaskedLM, attention_kinds
from reformer_tf.models.attention_kinds import ATTENTION_ONLY
from reformer_tf.tokenizers import ByteTokenizer
from tests.models import cases
from trainer import config_checks
from trainer.config import default_config

_EVERYTHING = AttentionCapabilities(
    causal=True,
    bidirectional=True,
    segments="equal",
    pair_dropout=True,
    shared_query_key=True,
    rotary=True,
    decoding_cache=PREFIX_AGAIN,
    cross_attention=False,
    model_arguments={},
)


@pytest.fixture
def register(monkeypatch):
    """Registers `"toy"`, a kind with the given capabilities, whose tokens see only themselves."""

    def made(**lacking):
        class Toy(SelfAttention):
            capabilities = dataclasses.replace(_EVERYTHING, **lacking)

            def attend(self, query, key, value, **options):
                return value

        monkeypatch.setitem(ATTENTION_LAYERS, "toy", Toy)
        return Toy

    return made


def _model(model=ReformerBackbone, kinds=("local", "toy"), **changes):
    return model(**{**cases.ARGUMENTS, "attention_layers": list(kinds), **changes})


_ABLE = sorted(kind for kind, cls in ATTENTION_LAYERS.items() if cls.capabilities.pair_dropout)
_CAN_DROP = re.escape(f"{_ABLE} can, 'toy' cannot. Received: ")
_CAN = re.escape(f"{sorted(ATTENTION_LAYERS)} can, 'toy' cannot. Received: ")


@pytest.mark.parametrize(
    "lacking, changes, message",
    [
        (
            {"pair_dropout": False},
            {"attention_dropout": 0.1},
            r"attention_dropout must be left out .* kinds that can drop pairs of tokens"
            r" \(attention_options=\{'local': \{'dropout': 0.1\}\} asks only these\): "
            + _CAN_DROP
            + r"attention_dropout=0.1, attention_layers=\['local', 'toy'\]",
        ),
        (
            {"rotary": False},
            {"rotary": True, "kinds": ("local", "lsh", "toy"), "num_layers": 3},  # LSH layers do not follow the model.
            r"rotary must be left out .*\(attention_options=\{'local': \{'rotary': True\}\} asks only these\): " + _CAN,
        ),
        (
            {"rotary": False},
            {"rotary": True, "kinds": ("toy",)},
            r"rotary must be left out .* can rotate queries and keys: " + _CAN,
        ),
        (
            {"causal": False, "decoding_cache": None},
            {"causal": True},
            r"attention_layers of a causal model must be kinds that .*: " + _CAN + "causal=True",
        ),
        (
            {"causal": False, "decoding_cache": None},
            {"model": ReformerCausalLM},
            r"attention_layers of a causal model must be kinds that .*: " + _CAN + "causal=True",
        ),
        (
            {"bidirectional": False},
            {"model": ReformerMaskedLM},
            r"attention_layers of a model that is not causal must be kinds that .*: " + _CAN + "causal=False",
        ),
        *(
            (
                {capability: False},
                {"attention_options": {"toy": {option: value}}},
                rf"{option} must be left out of attention_options\['toy'\], which {reason}.*Received: {option}={value}",
            )
            for capability, option, value, reason in (
                ("pair_dropout", "dropout", 0.1, "forms no probabilities of pairs"),
                ("shared_query_key", "shared_query_key", True, "cannot share queries and keys"),
                ("rotary", "rotary", True, "cannot rotate queries and keys"),
            )
        ),
        (
            {"model_arguments": {"chunk_length": "chunk_size"}},
            {},
            r"model_arguments in the capabilities of kind 'toy' must name arguments of a backbone.*\['chunk_size'\]",
        ),
    ],
)
def test_what_a_kind_cannot_do_is_refused_when_a_model_is_built(register, lacking, changes, message):
    register(**lacking)
    with pytest.raises(ValueError, match=message):
        _model(**changes)


def test_the_ways_out_work(register):
    register(pair_dropout=False, rotary=False)
    for options in ({"dropout": 0.1}, {"rotary": True}):
        backbone = _model(attention_options={"local": options})
        local, toy = (branch.layer for branch in backbone.get_layer("stack").branches[::2])
        assert {name: getattr(local, name) for name in options} == options
        assert not any(getattr(toy, name) for name in options)


def test_a_model_passes_only_what_a_kind_declares(register):
    toy = register(causal=False, decoding_cache=None, pair_dropout=False)
    toy.__init__ = lambda self, num_heads, key_dim, size, seed, **kwargs: SelfAttention.__init__(
        self, num_heads, key_dim, seed=seed, use_bias=size == 8, **kwargs
    )
    toy.capabilities = dataclasses.replace(toy.capabilities, model_arguments={"size": "local_chunk_length"})
    layer = _model().get_layer("stack").branches[2].layer
    assert type(layer) is toy and layer.use_bias  # `local_chunk_length` is `chunk_length`, 8, by default.


@pytest.mark.parametrize(
    "lacking, options, message",
    [
        ({"causal": False, "decoding_cache": None}, {"causal": True}, "causal must be left out of Toy, .*causal=True"),
        ({"bidirectional": False}, {}, "causal must be True in Toy, which is causal only. Received: causal=False"),
        ({"pair_dropout": False}, {"dropout": 0.5}, "dropout must be left out of Toy, .* Received: dropout=0.5"),
        ({"rotary": False}, {"rotary": True}, "rotary must be left out of Toy, .* Received: rotary=True"),
        ({"shared_query_key": False}, {"shared_query_key": True}, "shared_query_key must be left out of Toy"),
    ],
)
def test_a_layer_refuses_it_too(register, lacking, options, message):
    with pytest.raises(ValueError, match=message):
        register(**lacking)(2, 8, **options)


@pytest.mark.parametrize("reversible", [True, False])
def test_segments_are_refused(register, reversible):
    toy = register(segments=None)
    message = r"segment_ids must be left out .* can keep segments apart: " + _CAN + "segment_ids"
    for model, ids in ((_model(), cases.ids()), (_model(ReformerCausalLM), {"ids": cases.ids()})):
        model(ids)
        with pytest.raises(ValueError, match=message):
            model(ids, segment_ids=np.zeros([3, 50], "int32"))
    layer = ReversibleStack([(ResidualBranch(toy(2, 8)), ResidualBranch(toy(2, 8)))], reversible)
    with pytest.raises(ValueError, match=r"segment_ids must be left out of calls of Toy.*shape \(1, 3\)"):
        layer(tf.zeros([1, 3, 4]), segment_ids=tf.zeros([1, 3], tf.int32))


def test_generation_is_refused_and_exports_have_none(register):
    register(decoding_cache=None)
    model = _model(ReformerCausalLM, vocabulary_size=257)
    assert {*text_signatures.make(model, IndependentRows(model), ByteTokenizer())} == {"score"}
    rule = r"To generate, all attention_layers must be kinds that can add tokens one by one, .*: " + _CAN + "generate"
    with pytest.raises(ValueError, match=rule):
        model.generate([[1, 2]], max_new_tokens=2)
    with pytest.raises(ValueError, match=rule):
        model.stream([1, 2], max_new_tokens=2)


def test_a_kind_without_a_cache_generates_from_its_prefix_if_it_says_so(register):
    register()
    model = _model(ReformerCausalLM, ["toy"], num_layers=1)
    (new,) = model.generate([[1, 2]], max_new_tokens=3)
    for length in (2, 3, 4):
        ids = np.array([[1, 2, *new[: length - 2]]])
        assert np.argmax(model(ids)[0, -1]) == new[length - 2]


def test_a_class_must_declare_everything_that_it_can_do(monkeypatch):
    class Undeclared(SelfAttention):
        pass

    monkeypatch.setitem(ATTENTION_LAYERS, "toy", Undeclared)
    message = r"must declare what it can do, .* of causal, bidirectional, segments, .*Received: Undeclared with"
    for build in (_model, lambda: Undeclared(2, 8)):
        with pytest.raises(ValueError, match=message):
            build()
    declared = {field.name: getattr(_EVERYTHING, field.name) for field in dataclasses.fields(_EVERYTHING)}
    for name in declared:
        with pytest.raises(TypeError, match=rf"missing .*'{name}'"):
            AttentionCapabilities(**{other: value for other, value in declared.items() if other != name})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"causal": False, "bidirectional": False}, "causal or bidirectional must be True"),
        ({"segments": True}, 'segments must be "equal", "runs" or None. Received: segments=True'),
        ({"causal": False}, "decoding_cache must be None unless causal=True. Received: causal=False"),
    ],
)
def test_declarations_that_exclude_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(_EVERYTHING, **changes)
    with pytest.raises(dataclasses.FrozenInstanceError):
        _EVERYTHING.causal = False


@pytest.mark.parametrize(
    "lacking, fields, message",
    [
        ({"pair_dropout": False}, {"model.attention_dropout": 0.1}, r"`config.model` must hold .*attention_dropout"),
        ({"segments": None}, {"data.separate_documents": True}, r"`config.data.separate_documents` must be False"),
        ({"decoding_cache": None}, {"report": True}, r"`config.report` must be False with this model: To generate"),
    ],
)
def test_a_config_is_refused_before_the_data_is_read(register, lacking, fields, message):
    register(**lacking)
    config = default_config()
    config.model.update({**cases.ARGUMENTS, "vocabulary_size": 257, "attention_layers": ("local", "toy")})
    config.train.sequence_length = cases.LONGEST
    config.report = False
    config_checks.check_config(config)
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=message + ".*'toy' cannot"):
        config_checks.check_config(config)


@pytest.mark.parametrize(
    "kinds, changes, named",
    [
        (["local"], {"num_hashes": 3, "num_buckets": 8, "local_round": False, "redraw_rotations": False}, "all"),
        (["full"], {"chunk_length": 8, "local_chunk_length": 8}, "all"),
        (["lsh"], {"rotary": True, "local_chunk_length": 8}, "all"),
        (["local"], {"chunk_length": 8, "rotary": True}, []),
        (["local"], {"chunk_length": 8, "local_chunk_length": 4}, ["chunk_length"]),
        (["local", "lsh"], {"num_hashes": 3, "rotary": True, "chunk_length": 8, "local_chunk_length": 4}, []),
        (["full"], {"num_hashes": 4, "num_buckets": None}, []),
    ],
)
def test_arguments_without_effect_are_logged(caplog, kinds, changes, named):
    defaults = {name: inspect.signature(ReformerBackbone).parameters[name].default for name in ATTENTION_ONLY}
    attention_kinds._warn_once.cache_clear()
    for _ in range(2):  # A copy of a model says nothing again.
        _model(kinds=kinds, **{**defaults, **changes})
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split("=")[0] for line in lines] == (
        sorted(changes, key=list(defaults).index) if named == "all" else named
    )
    assert all(line.endswith(f"has no effect in a model of attention_layers={kinds}") for line in lines)


def test_what_only_attention_layers_use():
    followed = {name for cls in ATTENTION_LAYERS.values() for name in cls.capabilities.model_arguments.values()}
    # Feed-forward layers have kernels too, and positions a longest sequence.
    assert {*ATTENTION_ONLY} == {*followed, "chunk_length"} - {"kernel_initializer", "max_sequence_length"}

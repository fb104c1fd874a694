"""What each kind of attention declares that it can do is what its layers do."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers.attention import decoding
from reformer_tf.layers.attention.capabilities import PREFIX_AGAIN
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.models import ReformerBackbone
from reformer_tf.ops.caches import StepIndices
from tests.conformance import cases

each_kind = pytest.mark.parametrize("kind", ATTENTION_LAYERS)
CACHING = [k for k, cls in ATTENTION_LAYERS.items() if cls.capabilities.decoding_cache not in (None, PREFIX_AGAIN)]


@cases.each([case for case in cases.DEFAULTS if not case.causal])
def test_a_token_of_a_bidirectional_layer_sees_the_next_one(case):
    layer, x = cases.make_layer(case), cases.inputs(1, 12)
    changed = x.copy()
    changed[:, 6] += 1
    assert np.abs(layer(changed) - layer(x))[:, 5].max() > 1e-4


@each_kind
def test_a_layer_in_a_model_follows_the_arguments_that_its_kind_declares(kind):
    able = ATTENTION_LAYERS[kind].capabilities
    taken = inspect.signature(ATTENTION_LAYERS[kind]).parameters
    assert set(able.model_arguments) <= set(taken)
    assert "dropout" in taken or not able.pair_dropout
    values = {
        "chunk_length": 4,
        "local_chunk_length": 8,
        "num_hashes": 3,
        "num_buckets": 6,
        "max_sequence_length": 32,
        "local_round": False,
        "redraw_rotations": False,
        "rotary": True,
        "kernel_initializer": "zeros",
    }
    followed = {argument: values[name] for argument, name in able.model_arguments.items()}
    passed = {"max_sequence_length": 64, **{name: values[name] for name in able.model_arguments.values()}}
    if able.pair_dropout:
        followed["dropout"] = passed["attention_dropout"] = 0.5
    sizes = {
        "vocabulary_size": 9,
        "num_layers": 1,
        "hidden_dim": 8,
        "num_heads": 2,
        "key_dim": 4,
        "intermediate_dim": 8,
    }
    backbone = ReformerBackbone(**sizes, **passed, causal=able.causal, attention_layers=[kind])
    layer = backbone.get_layer("stack").branches[0].layer
    followed |= {"num_heads": 2, "key_dim": 4, "causal": able.causal}
    found = {name: getattr(layer, name) for name in followed}
    if "kernel_initializer" in followed:
        found["kernel_initializer"] = type(layer.kernel_initializer).__name__.lower()
    assert found == followed


@cases.each([case for case in cases.ALL if not case.has_chunks])
def test_a_causal_layer_has_a_cache_if_its_kind_declares_one(case):
    declared = case.capabilities.decoding_cache not in (None, PREFIX_AGAIN)
    assert (cases.make_layer(case).cache() is not None) == (declared and case.causal)


def _state(layer, capacity):
    return decoding.prefill(layer, tf.constant(cases.inputs(1, 3)), tf.constant([3]), capacity)[1]


def _weights_of_a_step(layer, capacity):
    """How many weights of keys a step computes."""
    state = _state(layer, capacity)
    step = tf.function(lambda x, state: decoding.step(layer, x, StepIndices(tf.constant([3])), state), autograph=False)
    graph = step.get_concrete_function(tf.zeros([1, 1, cases.WIDTH]), state).graph
    return sum(
        operation.outputs[0].shape.num_elements() for operation in graph.get_operations() if operation.type == "Exp"
    )


@pytest.mark.parametrize("kind", CACHING)
def test_a_decoding_step_grows_with_the_length_as_the_kind_declares(kind):
    layer = cases.make_layer(cases.Case(kind, "default", True))
    cache = ATTENTION_LAYERS[kind].capabilities.decoding_cache
    short, long = (sum(x.numpy().nbytes for x in tf.nest.flatten(_state(layer, length))) for length in (40, 400))
    assert (long > short) == cache.state_grows
    short, long = (_weights_of_a_step(layer, length) for length in (40, 400))
    assert (long > short) == cache.time_grows

"""Samplers that a command line names."""

import pytest

from reformer_tf.generation import samplers
from trainer.commands import sampling


def test_every_sampler_with_its_settings():
    assert sampling.make_sampler("random", {}) == samplers.RandomSampler(temperature=0.8)
    assert sampling.make_sampler("top_k", {"k": 3, "temperature": 1.0}) == samplers.TopKSampler(3)
    assert sampling.make_sampler("top_p", {"p": 0.5}) == samplers.TopPSampler(0.5, 0.8)
    assert sampling.make_sampler("greedy", {"repetition_penalty": 1.5}) == samplers.GreedySampler(1.5)
    assert sampling.make_sampler("beam", {"num_beams": 2, "length_penalty": 0.6}) == samplers.BeamSearch(2, 0.6)
    assert {name for name in samplers.SAMPLERS if sampling.draws(sampling.make_sampler(name, {}))} == {
        "random",
        "top_k",
        "top_p",
    }


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("best", {}, "`sampler` must be one of beam, greedy, random, top_k, top_p. Received: 'best'"),
        ("random", {"k": 3}, "`k` must not be given with the sampler 'random', whose settings are temp.* Received: 3"),
        ("greedy", {"temperature": 0.5}, "`temperature` must not be given with the sampler 'greedy', whose settings"),
        ("random", {"temperature": 0.0}, "temperature must be positive. Received: temperature=0.0"),
        ("top_k", {"k": 0}, "k must be a positive integer. Received: k=0"),
        ("top_p", {"p": 1.5}, "p must be above 0 and at most 1. Received: p=1.5"),
        ("beam", {"num_beams": 0}, "num_beams must be a positive integer. Received: num_beams=0"),
    ],
)
def test_samplers_that_cannot_be(name, settings, message):
    with pytest.raises(ValueError, match=message):
        sampling.make_sampler(name, settings)

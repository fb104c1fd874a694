"""The time of flash attention, where a framework is installed."""

import pytest

from benchmarks.peers import flash_attention


@pytest.mark.parametrize("framework", flash_attention.FRAMEWORKS)
def test_a_call_is_timed(framework):
    pytest.importorskip(framework)
    measured = flash_attention.measure(framework, length=64, heads=2, key_dim=16, repeat=2)
    assert measured["step_s"] > 0
    assert measured["device"] and "dot_product_attention" in measured["implementation"]

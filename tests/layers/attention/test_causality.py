"""Later tokens change no earlier output, be they changed or cut off."""

import numpy as np
import pytest

from tests.conformance import cases, comparing

CAUSAL = [case for case in cases.ALL if case.is_strictly_causal]


@cases.each(CAUSAL)
@pytest.mark.parametrize("masked", [False, True])
def test_later_tokens_do_not_change_earlier_outputs(case, masked):
    layer, x, length = cases.make_layer(case), cases.inputs(2, 130), 130
    mask = cases.masks(2, length) if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for kept in (1, 16, 65, 129):
        changed = np.concatenate([x[:, :kept], 3.0 * cases.inputs(2, length - kept, seed=kept)], axis=1)
        z, others = cases.call_and_buckets(layer, changed, mask=mask)
        comparing.assert_same_buckets(layer, x, buckets, None if others is None else others[..., :kept], mask)
        if buckets is not None:
            z = comparing.call(
                layer, changed, np.concatenate([buckets[..., :kept], others[..., kept:]], axis=-1), mask=mask
            )
        comparing.assert_same(z[:, :kept], y[:, :kept])
        assert np.max(np.abs(z[:, kept:] - y[:, kept:])) > 0.01


@cases.each(CAUSAL)
@pytest.mark.parametrize("masked", [False, True])
def test_cutting_off_later_tokens_does_not_change_earlier_outputs(case, masked):
    layer, x = cases.make_layer(case), cases.inputs(2, 130)
    mask = cases.masks(2, 130) if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for kept in (1, 2, 16, 63, 64, 65, 129):
        kept_mask = None if mask is None else mask[:, :kept]
        _, others = cases.call_and_buckets(layer, x[:, :kept], mask=kept_mask)
        comparing.assert_same_buckets(layer, x, buckets, others, mask)
        z = comparing.call(layer, x[:, :kept], None if buckets is None else buckets[..., :kept], mask=kept_mask)
        comparing.assert_same(z, y[:, :kept])

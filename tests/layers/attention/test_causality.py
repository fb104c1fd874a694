"""Later tokens, changed or cut off, change no earlier output."""

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
    for count in (1, 16, 65, 129):
        changed = np.concatenate([x[:, :count], 3.0 * cases.inputs(2, length - count, seed=count)], axis=1)
        z, others = cases.call_and_buckets(layer, changed, mask=mask)
        comparing.assert_same_buckets(layer, x, buckets, None if others is None else others[..., :count], mask)
        if buckets is not None:
            z = comparing.call(
                layer, changed, np.concatenate([buckets[..., :count], others[..., count:]], axis=-1), mask=mask
            )
        comparing.assert_same(z[:, :count], y[:, :count])
        assert np.max(np.abs(z[:, count:] - y[:, count:])) > 0.01


@cases.each(CAUSAL)
@pytest.mark.parametrize("masked", [False, True])
def test_truncating_later_tokens_does_not_change_earlier_outputs(case, masked):
    layer, x = cases.make_layer(case), cases.inputs(2, 130)
    mask = cases.masks(2, 130) if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for count in (1, 2, 16, 63, 64, 65, 129):
        cut_mask = None if mask is None else mask[:, :count]
        _, others = cases.call_and_buckets(layer, x[:, :count], mask=cut_mask)
        comparing.assert_same_buckets(layer, x, buckets, others, mask)
        z = comparing.call(layer, x[:, :count], None if buckets is None else buckets[..., :count], mask=cut_mask)
        comparing.assert_same(z, y[:, :count])

"""Losses of tokens, and whether each is the likeliest one, against the logits."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM, ReformerMaskedLM
from reformer_tf.ops.execution import budgets
from tests.models import cases

MASK = np.arange(cases.ids().shape[1]) < cases.ids().shape[1] - np.arange(len(cases.ids()))[:, None]


@pytest.fixture(scope="module", params=[ReformerCausalLM, ReformerMaskedLM])
def scored(request):
    """A model, the arguments of its `token_scores`, the targets, and the logits that score them."""
    model, ids = request.param(**cases.ARGUMENTS), cases.ids()
    model.head.bias.assign(np.random.default_rng(0).normal(size=model.head.bias.shape))
    if request.param is ReformerCausalLM:
        return model, (), ids[:, 1:], model(ids[:, :-1], mask=MASK[:, :-1]).numpy()
    targets = cases.ids(seed=1)
    return model, (targets,), targets, model(ids, mask=MASK).numpy()


@pytest.mark.parametrize("how", ["eager", "few rows at a time", "XLA"])
def test_scores_are_those_of_the_logits(scored, how):
    model, more, targets, logits = scored
    function = (
        tf.function(model.token_scores, jit_compile=True, autograph=False) if how == "XLA" else model.token_scores
    )
    with budgets.override(chunk_bytes=4 * 7 * model.classes() if how == "few rows at a time" else 2**20):
        losses, right = function(cases.ids(), *more, mask=MASK)
    counted = MASK[:, -targets.shape[1] :]
    np.testing.assert_array_equal(right, (logits.argmax(-1) == targets) & counted)
    assert right.numpy().any(), "or nothing is compared"
    np.testing.assert_allclose(losses, model.token_losses(cases.ids(), *more, mask=MASK), rtol=1e-5, atol=1e-6)


def test_ids_of_any_integer_type(scored):
    model, more, *_ = scored
    expected = model.token_scores(cases.ids(), *more)
    for dtype in ("uint8", "int64"):
        found = model.token_scores(cases.ids().astype(dtype), *(x.astype(dtype) for x in more))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)

"""Generation equals running the model on the prefix, token after token."""

import numpy as np
import pytest

from reformer_tf.models import ReformerCausalLM

_RELEASED = {"window": "chunk", "wrap": True}
_KINDS = {
    "strictly causal": {},
    "chunks around the ends": {"attention_options": {"lsh": _RELEASED, "local": _RELEASED}},
    "chunks, buckets that follow the length": {"attention_options": {"lsh": {"window": "chunk"}}},
}


def _model(kinds=("local", "lsh"), **changes):
    model = ReformerCausalLM(40, 150, 2, 24, 2, 8, 32, kinds, **{"chunk_length": 8, "num_hashes": 2, **changes})
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("kind", _KINDS)
def test_equals_running_the_prefix(kind):
    model = _model(**_KINDS[kind])
    assert model.backbone.strictly_causal == (kind == "strictly causal")
    prompts = [[1, 2, 3], [4], list(range(20))]
    new = model.generate(prompts, max_new_tokens=4)
    for prompt, continuation in zip(prompts, new, strict=True):
        row = list(prompt)
        for token in continuation:
            assert token == int(np.argmax(model(np.array([row], "int32"))[0, -1]))
            row.append(token)
    assert [len(x) for x in new] == [4, 4, 4]
    sampled = model.generate(prompts, 4, sampler="random", seed=5)
    assert sampled == model.generate(prompts, 4, sampler="random", seed=5)
    assert sampled[0] == model.generate([prompts[0], [9, 9]], 4, sampler="random", seed=5)[0]


@pytest.mark.parametrize("exact_length, strictly", [(8, True), (17, False)])
def test_causal_chunks_cut_by_position_do_not_look_ahead(exact_length, strictly):
    options = {"local": {**_RELEASED, "exact_length": exact_length}}
    model = _model(["local"], attention_options=options)
    assert model.backbone.strictly_causal == strictly
    ids = np.random.default_rng(1).integers(0, 40, (1, 20)).astype("int32")
    moved = np.abs(model(ids)[:, :17] - model(ids[:, :17])).max()
    assert (moved < 1e-5) == strictly

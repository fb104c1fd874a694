"""Documents packed into one row, each with its own segment, give the same results as in rows of their own."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from tests.models import cases

ABLE = {kind: cls.capabilities for kind, cls in ATTENTION_LAYERS.items() if cls.capabilities.segments}
KINDS = [kind for kind, able in ABLE.items() if able.causal]
LENGTHS = (23, 9, 1, 40)
STARTS = np.cumsum((0, *LENGTHS[:-1]))
SEGMENTS = np.repeat(np.arange(len(LENGTHS)), LENGTHS)[None].astype("int32")
SEED = np.array([3, 4], "int32")


def _model(kind, **options):
    return cases.make("causal_lm", attention_layers=[kind], **options)


def _packed():
    return cases.ids(batch=1, length=sum(LENGTHS))


def _documents():
    """The documents of the packed row in rows of their own, and their mask."""
    ids, mask = np.zeros([len(LENGTHS), max(LENGTHS)], "int32"), np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    ids[mask] = _packed()[0]
    return ids, mask


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("reversible", [True, False], ids=["reversible", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_document_changes_no_loss_of_the_others(kind, reversible, in_graph):
    model = _model(kind, reversible=reversible, local_round=False)
    losses = tf.function(model.token_losses) if in_graph else model.token_losses
    options = {"segment_ids": tf.constant(SEGMENTS), "training": True, "seed": tf.constant(SEED)}
    ids = _packed()
    before = losses(tf.constant(ids), **options).numpy()[0]
    for changed in (0, 1, 3):
        inside = SEGMENTS[0] == changed
        other = np.where(inside, cases.ids(batch=1, length=sum(LENGTHS), seed=7), ids).astype("int32")
        other[0, STARTS[changed]] = ids[0, STARTS[changed]]  # This token is a target of the document before.
        after = losses(tf.constant(other), **options).numpy()[0]
        difference = np.abs(after - before)
        assert difference[~inside[:-1]].max() <= 1e-5
        assert difference[inside[:-1]].max() > 1e-2, "the document was not changed"
    # Without segments the change has an effect.
    del options["segment_ids"]
    other = np.where(SEGMENTS == 1, other + 1, ids) % cases.VOCABULARY
    seen = losses(tf.constant(other), **options).numpy()[0] - losses(tf.constant(ids), **options).numpy()[0]
    assert np.abs(seen[STARTS[2] :]).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "positions"),
    [
        *((kind, "none") for kind in KINDS),
        # Rotated products depend on distances alone; a kind that forms no pairs sees the positions themselves.
        *(
            (kind, "rotary")
            for kind in KINDS
            if "rotary" in ABLE[kind].model_arguments.values() and ABLE[kind].pair_dropout
        ),
    ],
)
def test_losses_and_gradients_are_those_of_rows_of_their_own(kind, positions):
    model = _model(kind, positions="none", rotary=positions == "rotary")
    # Without the losses of each next document's first id.
    counted = np.delete(np.arange(sum(LENGTHS) - 1), STARTS[1:] - 1)

    def packed():
        losses = model.token_losses(_packed(), segment_ids=SEGMENTS, training=True, seed=SEED)
        return tf.gather(losses[0], counted)

    def separate():
        ids, mask = _documents()
        losses = model.token_losses(ids, mask=mask, training=True, seed=SEED)
        return tf.boolean_mask(losses, mask[:, 1:])

    def with_gradient(losses):
        with tf.GradientTape() as tape:
            values = losses()
            total = tf.reduce_sum(values)
        variables = [variable.value for variable in model.trainable_variables]
        return values.numpy(), [tf.convert_to_tensor(g).numpy() for g in tape.gradient(total, variables)]

    (losses, gradients), (expected, expected_gradients) = with_gradient(packed), with_gradient(separate)
    np.testing.assert_allclose(losses, expected, atol=1e-4)
    largest = max(np.abs(gradient).max() for gradient in expected_gradients)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-5 * largest)

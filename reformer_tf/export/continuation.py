"""Texts that a model goes on with, in one graph: the prompts at once, then a token of each row at a time.

Shape letters: B rows, L length of the longest prompt, N most new tokens, V vocabulary size.
"""

import tensorflow as tf

from reformer_tf.export.sampling import Settings
from reformer_tf.generation import decoder, loop
from reformer_tf.models import ReformerCausalLM


def go_on(
    model: ReformerCausalLM, ids: tf.Tensor, lengths: tf.Tensor, settings: Settings, stop: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Goes on with each row until it has its tokens.

    Args:
        model: the model.
        ids: int32 `[B, L]`, each row filled up with any id.
        lengths: int32 `[B]`, at least 1; with all but one of its new tokens, a row must fit the model.
        settings: of the rows.
        stop: the id that ends a row.

    Returns:
        The new ids, int32 `[B, N]`, and how many each row has, int32 `[B]`; the last may be `stop`.
    """
    limits, stops = settings.max_new_tokens, tf.constant([stop])
    # The last new token is never fed.
    room = tf.maximum(tf.shape(ids)[1], tf.reduce_max(lengths + limits) - 1)
    feeder = decoder.of(model)
    logits, state = feeder.prefill(ids, lengths, room)
    progress = loop.begin(logits, state, ids, lengths, limits, settings.choose, stops, looks_back=False)
    later, _ = loop.run(feeder, progress, tf.reduce_max(limits) - 1, settings.choose, stops)
    new_ids = tf.concat([progress.tokens[:, None], later], axis=1)
    return new_ids, tf.reduce_sum(tf.cast(new_ids != loop.NOTHING, tf.int32), axis=1)

"""Breakages of generation."""

from tools.breakages.breakage import Breakage

BREAKAGES = (
    Breakage(
        name="beams_not_reordered",
        part="generation",
        function="search.step",
        old="tf.nest.map_structure(lambda x: tf.gather(x, rows), state)",
        new="state",
        breaks="Beams go on with the caches of other beams.",
    ),
    Breakage(
        name="beams_ignore_stop_tokens",
        part="generation",
        function="search.choose",
        old="tf.reduce_any(chosen[:, :, None] == stop_tokens, axis=-1)",
        new="tf.zeros_like(chosen, tf.bool)",
        breaks="Beam search goes on after a stop token.",
    ),
    Breakage(
        name="stop_tokens_ignored",
        part="generation",
        function="_left",
        old="tf.where(ended, 0, limits - 1)",
        new="limits - 1",
        breaks="Rows go on after a stop token.",
    ),
    Breakage(
        name="position_stands_still",
        part="generation",
        function="run.step",
        old="progress.positions + 1",
        new="progress.positions",
        breaks="All new tokens are fed at the same position.",
    ),
    Breakage(
        name="top_p_drops_the_likeliest",
        part="generation",
        function="top_p",
        old="tf.cumsum(sorted_probabilities, axis=-1, exclusive=True)",
        new="tf.cumsum(sorted_probabilities, axis=-1)",
        breaks="The set of likeliest tokens lacks the one with which it reaches p.",
    ),
    Breakage(
        name="draws_repeat",
        part="generation",
        function="draw",
        old="seeds.mix(tf.cast(seed, tf.int32), tf.cast(positions, tf.int32))",
        new="seeds.mix(tf.cast(seed, tf.int32), tf.zeros_like(tf.cast(positions, tf.int32)))",
        breaks="Every position of a row is drawn with the same random numbers.",
    ),
    Breakage(
        name="penalty_rewards",
        part="generation",
        function="penalize",
        old="tf.where(logits > 0, logits / penalty, logits * penalty)",
        new="logits / penalty",
        breaks="A repetition penalty makes tokens with a negative logit likelier.",
    ),
    Breakage(
        name="padding_was_seen",
        part="generation",
        function="begin",
        old="tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), ids, vocabulary)",
        new="ids",
        breaks="A repetition penalty falls on the id that fills up shorter prompts.",
    ),
    Breakage(
        name="logits_of_the_padding",
        part="generation",
        function="CachedDecoder.prefill",
        old="tf.gather(x, lengths - 1, batch_dims=1)",
        new="x[:, -1]",
        breaks="Shorter prompts of a batch are continued from their padding.",
    ),
)

"""Breakages of exported models."""

from tools.breakages.breakage import Breakage

BREAKAGES = (
    Breakage(
        name="nats_for_bits",
        part="export",
        function="mean_bits",
        old="tf.cast(counts, losses.dtype) * math.log(2.0)",
        new="tf.cast(counts, losses.dtype)",
        breaks="Scores are in nats, though they are called bits.",
    ),
    Breakage(
        name="boundary_counts_as_a_byte",
        part="export",
        function="_score.score",
        old="tf.strings.length(text)",
        new="tf.strings.length(text) + 1",
        breaks="Bits per byte are of one byte more than the text has.",
    ),
    Breakage(
        name="padding_in_the_embedding",
        part="export",
        function="embeddings",
        old="tf.cast(lengths, vectors.dtype)[:, None]",
        new="tf.cast(tf.shape(vectors)[1], vectors.dtype)",
        breaks="The embedding of a row gets smaller with the padding of the request.",
    ),
    Breakage(
        name="holes_accepted",
        part="export",
        function="padded_ids",
        old="tf.reduce_all(at_the_end)",
        new="tf.constant(True)",
        breaks="A row with padding in its middle is taken for one with padding at its end.",
    ),
    Breakage(
        name="last_byte_not_fed",
        part="export",
        function="_generate.generate",
        old="lengths + 1",
        new="lengths",
        breaks="A text is continued as if its last byte were not there.",
    ),
    Breakage(
        name="padding_taken_for_harmless",
        part="models",
        function="BackboneModel.ignores_padding",
        old="all(layer.ignores_padding for layer in self.self_attention)",
        new="True",
        breaks="Rows of a model with chunk windows change with the padding of the request.",
    ),
    Breakage(
        name="version_lock_not_taken",
        part="export",
        function="_make_locked",
        old="fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        new="pass",
        breaks="An export under way is removed by another that begins.",
    ),
    Breakage(
        name="failed_export_left_behind",
        part="export",
        function="write_next",
        old="shutil.rmtree(unfinished, ignore_errors=True)",
        new="pass",
        breaks="An export that fails leaves what it had written in the folder.",
    ),
)

"""Targets that a model makes of sources in a request, each row with settings of its own.

Shape letters: B rows, S length of the sources, N new tokens.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.export import requests, sampling
from reformer_tf.export.independent_pairs import IndependentPairs
from reformer_tf.generation import beam_search, seq2seq_decoder, token_loop
from reformer_tf.models import ReformerSeq2Seq
from reformer_tf.ops import graph_checks

_BEAM_SPECS = [tf.TensorSpec([None], tf.int32, "num_beams"), tf.TensorSpec([None], tf.float32, "length_penalty")]
SPECS = [*sampling.SPECS, *_BEAM_SPECS]
"""The inputs that are the settings of a request."""


class Settings(NamedTuple):
    """The settings of a request, `[B]` each.

    Attributes:
        sampling: of rows with one beam.
        num_beams: int32, the number of beams; with 1 a row is made token by token.
        length_penalty: float32, of rows with several beams, see `samplers.BeamSearch`.
    """

    sampling: sampling.Settings
    num_beams: tf.Tensor
    length_penalty: tf.Tensor

    @classmethod
    def from_inputs(cls, inputs: Sequence[tf.Tensor], source: tf.Tensor, longest: int, max_beams: int) -> "Settings":
        """Makes the settings of the inputs of `SPECS`, if they are valid.

        Args:
            inputs: as in `SPECS`.
            source: has as many rows.
            longest: the greatest `max_new_tokens`.
            max_beams: the greatest `num_beams`.
        """
        values = {spec.name: requests.with_rank(spec, value) for spec, value in zip(SPECS, inputs, strict=True)}
        drawing = sampling.Settings(*(values[spec.name] for spec in sampling.SPECS)).checked(source, "source")
        rule = f"be from 1 to {longest}"
        limits = graph_checks.checked(
            drawing.max_new_tokens,
            graph_checks.between("max_new_tokens", drawing.max_new_tokens, 1, longest, rule),
        )
        search = requests.all_one_a_row({spec.name: values[spec.name] for spec in _BEAM_SPECS}, source, "source")
        beams, penalty = search["num_beams"], search["length_penalty"]
        draws = (drawing.temperature > 0) & (beams > 1)
        beams = graph_checks.checked(
            beams,
            graph_checks.between("num_beams", beams, 1, max_beams, f"be from 1 to {max_beams}"),
            (
                ~tf.reduce_any(draws),
                "`num_beams` must be 1 where `temperature` is above 0, and tokens are drawn",
                beams,
            ),
        )
        rule = "be finite and at least 0"
        penalty = graph_checks.checked(
            penalty, graph_checks.between("length_penalty", penalty, 0, tf.float32.max, rule)
        )
        return cls(drawing._replace(max_new_tokens=limits), beams, penalty)

    def rows(self, indices: tf.Tensor) -> "Settings":
        """The settings of some rows."""
        return tf.nest.map_structure(lambda x: tf.gather(x, indices), self)


class Translations:
    """Makes targets of sources.

    Args:
        model: a `ReformerSeq2Seq` whose decoder can generate.
        rows: runs its encoder.
    """

    def __init__(self, model: ReformerSeq2Seq, rows: IndependentPairs):
        def encode(source: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
            return rows.context(source, tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))

        self._decoder = seq2seq_decoder.make_decoder(model, encode)
        per_row = tf.TensorSpec([None], tf.int32)
        signature = [tf.TensorSpec([None, None], tf.int32), per_row, tf.TensorSpec([], tf.int32)]
        # Both ways of generating begin with it.
        self._prefill = tf.function(self._decoder.prefill, input_signature=signature, autograph=False)

    def __call__(self, source: tf.Tensor, lengths: tf.Tensor, settings: Settings, stop_tokens: tf.Tensor) -> tf.Tensor:
        """Generates in one graph.

        Args:
            source: int32 `[B, S]`, padded with valid ids.
            lengths: int32 `[B]`, 1 to S.
            settings: of the rows.
            stop_tokens: int32 `[B, 1]`; a target ends with its row's.

        Returns:
            int32 `[B, N]`, N the largest of `max_new_tokens`; `token_loop.NOTHING` after the end of a row.
        """
        count = tf.reduce_max(settings.sampling.max_new_tokens)
        found = tf.fill([tf.shape(source)[0], count], token_loop.NOTHING)

        def update(
            found: tf.Tensor,
            chosen: tf.Tensor,
            generate: Callable[[Settings, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
        ) -> tf.Tensor:
            """Generates the rows that are chosen, if there are any: the others cost nothing."""
            indices = tf.where(chosen)[:, 0]

            def updated() -> tf.Tensor:
                own = settings.rows(indices)
                inputs = [tf.gather(x, indices) for x in (source, lengths, stop_tokens)]
                new = generate(own, *inputs)
                new = tf.pad(new, [[0, 0], [0, count - tf.shape(new)[1]]], constant_values=token_loop.NOTHING)
                return tf.tensor_scatter_nd_update(found, indices[:, None], new)

            return tf.cond(tf.size(indices) > 0, updated, lambda: found)

        found = update(found, tf.equal(settings.num_beams, 1), self._token_by_token)
        return update(found, settings.num_beams > 1, self._by_beams)

    def _token_by_token(
        self, settings: Settings, source: tf.Tensor, lengths: tf.Tensor, stop_tokens: tf.Tensor
    ) -> tf.Tensor:
        limits, choose = settings.sampling.max_new_tokens, settings.sampling.choose
        logits, state = self._prefill(source, lengths, tf.reduce_max(limits))
        # The vector before a target counts as a token of the target.
        first = tf.ones_like(lengths)
        return token_loop.go_on(self._decoder, logits, state, first, limits, choose, stop_tokens)

    def _by_beams(self, settings: Settings, source: tf.Tensor, lengths: tf.Tensor, stop_tokens: tf.Tensor) -> tf.Tensor:
        limits = settings.sampling.max_new_tokens
        logits, state = self._prefill(source, lengths, tf.reduce_max(limits))
        first, beams = tf.ones_like(lengths), settings.num_beams
        return beam_search.search(
            self._decoder, logits, state, first, limits, beams, settings.length_penalty, stop_tokens
        )

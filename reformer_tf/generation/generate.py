"""Continues prompts with a causal model: from lists of ids to lists of ids, and id by id.

Two programs, one for prompts and one for the tokens after them, are traced once for each model and sampler.
"""

import functools
import operator
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.generation import beam_search, decoder, prompts, samplers, token_loop
from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry

# Stored outside the models: Keras and SavedModels would treat a function in a model's attribute as a part of it.
_PROGRAMS: weakref.WeakKeyDictionary[Any, "_Programs"] = weakref.WeakKeyDictionary()


def generate(
    model: Any,
    rows: Any,
    max_new_tokens: int,
    sampler: str | samplers.Sampler | samplers.BeamSearch,
    seed: Any,
    stop_tokens: Any = (),
    **options: Any,
) -> list[list[int]]:
    """See `ReformerCausalLM.generate`; `model` is such a model."""
    rows = prompts.parse_rows(rows, model.backbone.config["vocabulary_size"])
    run = Continuation(model, rows, max_new_tokens, samplers.get(sampler, **options), seed, stop_tokens)
    return run.all_tokens()


def stream(
    model: Any,
    prompt: Any,
    max_new_tokens: int,
    sampler: str | samplers.Sampler,
    seed: Any,
    stop_tokens: Any = (),
    **options: Any,
) -> Iterator[int]:
    """See `ReformerCausalLM.stream`; `model` is such a model."""
    chosen = samplers.get(sampler, **options)
    if isinstance(chosen, samplers.BeamSearch):
        raise ValueError(f"sampler must choose token by token to be streamed. Received: sampler={sampler!r}")
    row = prompts.parse_row(prompt, model.backbone.config["vocabulary_size"])
    run = Continuation(model, [row], max_new_tokens, chosen, seed, stop_tokens)
    return _one_by_one(run, max_new_tokens)


def _one_by_one(run: "Continuation", max_new_tokens: int) -> Iterator[int]:
    """The generator of `stream`, which itself checks its arguments as soon as it is called."""
    (token,) = run.first().tolist()
    yield token
    for _ in range(max_new_tokens - 1):
        ((token,),) = run.go_on(1).tolist()
        if token == token_loop.NOTHING:
            return
        yield token


class Generation:
    """Generation for some rows.

    Args:
        model: the model.
        rows: ids that the decoder's `prefill` takes.
        begun: the ids `[B, L]`, each row filled up with any id, that stand before the new ones, and the number of
            tokens before them, `[B]`.
        capacity: the number of positions that will be used at most.
        max_new_tokens: how many ids a row may get.
        vocabulary_size: of the new ids.
        sampler: chooses them.
        seed: of the draws, as in `ReformerCausalLM.generate`.
        stop_tokens: ids that end a row.

    Attributes:
        make_decoder: makes the decoder of the model, set by a subclass.
    """

    make_decoder: Callable[[Any], decoder.Decoder]

    def __init__(
        self,
        model: Any,
        rows: list[list[int]],
        begun: tuple[np.ndarray, np.ndarray] | None,
        capacity: int,
        max_new_tokens: int,
        vocabulary_size: int,
        sampler: samplers.Sampler | samplers.BeamSearch,
        seed: Any,
        stop_tokens: Any,
    ):
        self.sampler = sampler
        self._rows = _padded(rows)
        self._begun = self._rows if begun is None else begun
        self._capacity = np.int32(capacity)
        self._seeds = prompts.row_seeds(seed, len(rows))
        self._limits = np.full(len(rows), max_new_tokens, np.int32)
        self._stops = prompts.stop_ids(stop_tokens, vocabulary_size)
        if model not in _PROGRAMS or not _PROGRAMS[model].are_for(model.variables):
            _PROGRAMS[model] = _Programs(model, self.make_decoder)
        self._programs = _PROGRAMS[model]
        self._progress: token_loop.Progress | None = None

    def all_tokens(self) -> list[list[int]]:
        """All new tokens, row by row."""
        if isinstance(self.sampler, samplers.BeamSearch):
            tokens = self.search(self.sampler)
        else:
            tokens = np.concatenate([self.first()[:, None], self.go_on(self._limits[0] - 1)], axis=1)
        return [[token for token in row if token != token_loop.NOTHING] for row in tokens.tolist()]

    def first(self) -> np.ndarray:
        """The first new token of each row, `[B]`."""
        begin, _ = self._programs.sampler_programs(self.sampler)
        self._progress = begin(*self._prefilled(), *self._begun, self._limits, self._seeds, self._stops)
        return self._progress.tokens.numpy()

    def go_on(self, count: int) -> np.ndarray:
        """Up to `count` more tokens of each row, `[B, count]`, `token_loop.NOTHING` after a row's end."""
        if not count:
            return np.empty([len(self._limits), 0], np.int32)
        _, go_on = self._programs.sampler_programs(self.sampler)
        tokens, self._progress = go_on(self._progress, np.int32(count), self._seeds, self._stops)
        return tokens.numpy()

    def search(self, options: samplers.BeamSearch) -> np.ndarray:
        """All new tokens of each row, `[B, max_new_tokens]`, `token_loop.NOTHING` beyond a row's end."""
        rows = len(self._limits)
        num_beams = np.full(rows, options.num_beams, np.int32)
        length_penalty = np.full(rows, options.length_penalty, np.float32)
        search = self._programs.beam_program()
        return search(*self._prefilled(), self._begun[1], self._limits, num_beams, length_penalty, self._stops).numpy()

    def _prefilled(self) -> tuple[tf.Tensor, Any]:
        return self._programs.prefill(*self._rows, self._capacity)


class Continuation(Generation):
    """Generation after prompts. Arguments as in `ReformerCausalLM.generate`, except that the rows are checked."""

    make_decoder = staticmethod(decoder.make_decoder)

    def __init__(
        self,
        model: Any,
        rows: list[list[int]],
        max_new_tokens: int,
        sampler: samplers.Sampler | samplers.BeamSearch,
        seed: Any,
        stop_tokens: Any,
    ):
        registry.require_decoding(model.backbone.config["attention_layers"])
        arguments.positive_integer("max_new_tokens", max_new_tokens)
        _check_lengths(rows, max_new_tokens, model.backbone.config["max_sequence_length"])
        # The last new token is never fed.
        capacity = max(map(len, rows)) + max_new_tokens - 1
        vocabulary = model.backbone.config["vocabulary_size"]
        super().__init__(model, rows, None, capacity, max_new_tokens, vocabulary, sampler, seed, stop_tokens)


def _padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows as ids `[B, L]`, filled up with 0, and their lengths `[B]`."""
    lengths = np.asarray([len(row) for row in rows], np.int32)
    ids = np.zeros((len(rows), max(lengths)), np.int32)
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return ids, lengths


class _Programs:
    """The graphs of a model's generation, for any number of rows and any lengths, each traced once."""

    def __init__(self, model: Any, make_decoder: Callable[[Any], decoder.Decoder]):
        reference = weakref.ref(model)  # A strong reference in a program would keep the model alive for ever.

        def traced_decoder() -> decoder.Decoder:
            return make_decoder(reference())

        @_graph(_spec(None, None), _spec(None), _spec())
        def prefill(ids: tf.Tensor, lengths: tf.Tensor, capacity: tf.Tensor) -> tuple[tf.Tensor, Any]:
            return traced_decoder().prefill(ids, lengths, capacity)

        self.prefill = prefill
        self._variables = model.variables
        self._decoder = traced_decoder
        # Traced at the first use.
        self.sampler_programs = functools.cache(self._trace_sampler)
        self.beam_program = functools.cache(self._trace_beams)

    def are_for(self, variables: Sequence[Any]) -> bool:
        """Whether a model with these variables has the same ones as when the programs were made."""
        return len(variables) == len(self._variables) and all(map(operator.is_, variables, self._variables))

    def _trace_sampler(self, sampler: samplers.Sampler) -> tuple[Callable, Callable]:
        """Makes the programs of the first step and of later steps."""
        logits, state = _outputs(self.prefill)

        def choose(seeds: tf.Tensor) -> token_loop.Choose:
            return lambda logits, positions, seen: sampler(logits, seeds, positions, seen)

        @_graph(logits, state, _spec(None, None), _spec(None), _spec(None), _spec(None), _spec(None))
        def begin(
            logits: tf.Tensor,
            state: Any,
            ids: tf.Tensor,
            lengths: tf.Tensor,
            limits: tf.Tensor,
            seeds: tf.Tensor,
            stops: tf.Tensor,
        ) -> token_loop.Progress:
            return token_loop.begin(logits, state, ids, lengths, limits, choose(seeds), stops, sampler.looks_back)

        @_graph(_outputs(begin), _spec(), _spec(None), _spec(None))
        def go_on(
            progress: token_loop.Progress, count: tf.Tensor, seeds: tf.Tensor, stops: tf.Tensor
        ) -> tuple[tf.Tensor, token_loop.Progress]:
            return token_loop.run(self._decoder(), progress, count, choose(seeds), stops)

        return begin, go_on

    def _trace_beams(self) -> Callable:
        """Makes the program of beam search, for any number of beams and any penalty."""
        logits, state = _outputs(self.prefill)
        penalties = tf.TensorSpec([None], tf.float32)

        @_graph(logits, state, _spec(None), _spec(None), _spec(None), penalties, _spec(None))
        def search(
            logits: tf.Tensor,
            state: Any,
            lengths: tf.Tensor,
            limits: tf.Tensor,
            num_beams: tf.Tensor,
            length_penalty: tf.Tensor,
            stops: tf.Tensor,
        ) -> tf.Tensor:
            return beam_search.search(self._decoder(), logits, state, lengths, limits, num_beams, length_penalty, stops)

        return search


def _graph(*signature: Any) -> Callable[[Callable], Callable]:
    return tf.function(input_signature=signature, autograph=False)


def _spec(*shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.int32)


def _outputs(program: Any) -> Any:
    """The specs of a program's results, which are inputs of the next program."""
    outputs = program.get_concrete_function().structured_outputs
    return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)


def _check_lengths(rows: list[list[int]], max_new_tokens: int, longest: int) -> None:
    longest_row = max(len(row) for row in rows)
    # The last new token is never fed.
    if longest_row + max_new_tokens - 1 > longest:
        raise ValueError(
            f"A prompt and max_new_tokens must fit max_sequence_length={longest}."
            f" Received: a prompt of {longest_row} ids, max_new_tokens={max_new_tokens}"
        )

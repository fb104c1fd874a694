"""Continues a text with the model of a run."""

from collections.abc import Callable, Iterator, Sequence

import keras

from reformer_tf.generation import samplers, streamed_text
from reformer_tf.tokenizers import Tokenizer
from trainer.data.tokenizers import BYTES


def continue_text(
    model: keras.Model, prompt: str, tokens: int, temperature: float, seed: int = 0, tokenizer: Tokenizer = BYTES
) -> str:
    """Samples a continuation of a text.

    Args:
        model: Has `stream`.
        prompt: The beginning of a document; may be empty.
        tokens: Number of tokens to sample.
        temperature: Above 0; the lower, the more likely the text.
        seed: The same seed gives the same text.
        tokenizer: Tokenizer of the model.

    Returns:
        The new text only. Bytes that are not UTF-8 become replacement characters; ids that stand for no text, such as
        boundaries between documents, are left out.
    """
    ids = tokenizer.to_ids(prompt).tolist()
    new = model.stream(ids, max_new_tokens=tokens, sampler="random", temperature=temperature, seed=seed)
    return "".join(streamed_text.stream_text(new, tokenizer.to_bytes, ids))


def stream_bytes(
    model: keras.Model,
    ids: Sequence[int],
    tokens: int,
    sampler: samplers.Sampler | samplers.BeamSearch,
    seed: int = 0,
    to_bytes: Callable[[Sequence[int]], bytes] = BYTES.to_bytes,
    stop_tokens: Sequence[int] = (),
) -> Iterator[bytes]:
    """Continues ids, and yields the bytes of each new one as soon as it is generated.

    Args:
        model: Has `stream` and `generate`.
        ids: At least one.
        tokens: Number of tokens to generate.
        sampler: The sampler. The bytes of a beam search come all at once, as no token is known before its end.
        seed: The same seed gives the same bytes.
        to_bytes: Maps ids to what people read.
        stop_tokens: Ids that end the text.

    Returns:
        An iterator of fragments of at least one byte.

    Raises:
        ValueError: If ids and new tokens do not fit the model.
    """
    if isinstance(sampler, samplers.BeamSearch):
        (new,) = model.generate([ids], max_new_tokens=tokens, sampler=sampler, stop_tokens=stop_tokens)
        return iter(list(streamed_text.stream_bytes(new, to_bytes, ids)))
    new = model.stream(ids, max_new_tokens=tokens, sampler=sampler, seed=seed, stop_tokens=stop_tokens)
    return streamed_text.stream_bytes(new, to_bytes, ids)

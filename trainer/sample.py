"""Text as the model would go on."""

from collections.abc import Iterator

import keras

from reformer_tf.generation import text
from trainer.tokens import BYTES, Tokens


def continue_text(
    model: keras.Model, prompt: str, tokens: int, temperature: float, seed: int = 0, scheme: Tokens = BYTES
) -> str:
    """Samples a continuation of a text.

    Args:
        model: Has `stream`.
        prompt: The beginning of a document; may be empty.
        tokens: Number of tokens to sample.
        temperature: Above 0; the lower, the more likely the text.
        seed: The same seed gives the same text.
        scheme: How the model numbers its tokens.

    Returns:
        The new text alone. Bytes that are not UTF-8 become replacement characters; ids that stand for no text, such as
        boundaries between documents, are left out.
    """
    return "".join(stream_text(model, prompt, tokens, temperature, seed, scheme))


def stream_text(
    model: keras.Model, prompt: str, tokens: int, temperature: float, seed: int = 0, scheme: Tokens = BYTES
) -> Iterator[str]:
    """`continue_text` piece by piece, each as soon as it is certain.

    Args:
        model: Has `stream`.
        prompt: The beginning of a document; may be empty.
        tokens: Number of tokens to sample.
        temperature: Above 0; the lower, the more likely the text.
        seed: The same seed gives the same text.
        scheme: How the model numbers its tokens.

    Returns:
        An iterator of pieces, of whole characters each.
    """
    ids = scheme.encode(prompt).tolist()
    new = model.stream(ids, max_new_tokens=tokens, sampler="random", temperature=temperature, seed=seed)
    return text.pieces(new, scheme.decode)

"""Asks a TensorFlow Serving server over REST for the score of a text, or for a continuation of it.

    python -m examples.serving_rest --server=http://localhost:8501 --model=reformer --text="def main():"
    python -m examples.serving_rest --generate --max_new_tokens=100 --temperature=0.8 --text="def "

It needs the package absl-py and nothing else.
"""

import base64
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, flags

_SERVER = flags.DEFINE_string("server", "http://localhost:8501", "Address of the REST server.")
_MODEL = flags.DEFINE_string("model", "reformer", "Name under which the server has the model.")
_TEXT = flags.DEFINE_multi_string("text", None, "A text; several are one request.", required=True)
_GENERATE = flags.DEFINE_bool("generate", False, "Continues the texts instead of scoring them.")
_MAX_NEW_TOKENS = flags.DEFINE_integer("max_new_tokens", 100, "Largest number of tokens to generate.")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.8, "0 takes the likeliest token each time.")
_TOP_K = flags.DEFINE_integer("top_k", 0, "Number of likeliest tokens to draw from; 0: all.")
_TOP_P = flags.DEFINE_float("top_p", 1.0, "Draws from the likeliest tokens that together have this probability.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same text.")
_TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds to wait.")


def as_json(text: bytes) -> dict[str, str]:
    """Encodes bytes in base64 for TensorFlow Serving. UTF-8 text may also be sent as a JSON string."""
    return {"b64": base64.b64encode(text).decode("ascii")}


def predict(
    server: str, model: str, signature: str, instances: Sequence[Mapping[str, Any]], timeout: float
) -> list[Any]:
    """Sends one request in rows.

    Args:
        server: Address.
        model: Name of the model at the server.
        signature: Name of the signature.
        instances: One for each row, its inputs by name.
        timeout: Seconds.

    Returns:
        One for each row: its outputs by name, or the output itself if there is only one.

    Raises:
        RuntimeError: If the server refused the request (with its message), or is no TensorFlow Serving server.
        OSError: If there is no answer in time.
    """
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    request = urllib.request.Request(f"{server}/v1/models/{model}:predict", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            answer = response.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(_field(error.read(), "error") or f"{error.code} {error.reason}") from error
    except http.client.HTTPException as error:
        raise RuntimeError(f"{server} does not speak HTTP: {error!r}") from error
    rows = _field(answer, "predictions")
    if rows is None:
        raise RuntimeError(f"{server} is no TensorFlow Serving: it answers {answer[:200]!r}")
    return rows


def _field(answer: bytes, name: str) -> Any:
    """Returns a field of an answer that is a JSON object; None if it is something else."""
    try:
        content = json.loads(answer)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None


def shown(text: bytes) -> str:
    """Decodes bytes for the terminal; bytes and characters that it cannot show are escaped or replaced."""
    encoding = sys.stdout.encoding or "ascii"
    return text.decode("utf-8", errors="replace").encode(encoding, errors="backslashreplace").decode(encoding)


def main(arguments: list[str]) -> int:
    """Sends the request that the flags describe and prints the answer."""
    del arguments
    texts = [os.fsencode(text) for text in _TEXT.value]  # The bytes of the command line, which need not be UTF-8.
    settings: dict[str, Any] = {}
    if _GENERATE.value:
        settings = {
            "max_new_tokens": _MAX_NEW_TOKENS.value,
            "temperature": _TEMPERATURE.value,
            "top_k": _TOP_K.value,
            "top_p": _TOP_P.value,
            "seed": _SEED.value,
        }
    instances = [{"text": as_json(text), **settings} for text in texts]
    signature = "generate" if _GENERATE.value else "score"
    try:
        rows = predict(_SERVER.value, _MODEL.value, signature, instances, _TIMEOUT.value)
    except (RuntimeError, OSError, ValueError) as error:  # ValueError: the address is not a URL.
        print(error)
        return 1
    for text, row in zip(texts, rows, strict=True):
        if _GENERATE.value:
            print(shown(text + base64.b64decode(row["b64"])))
        else:
            print(f"{row['bits_per_byte']:.4f} bits per byte: {shown(text)!r}")
    return 0


if __name__ == "__main__":
    app.run(main)

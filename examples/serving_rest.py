"""Asks a TensorFlow Serving server over REST for the score of a text, or how it goes on.

    python -m examples.serving_rest --server=http://localhost:8501 --model=reformer --text="def main():"
    python -m examples.serving_rest --generate --max_new_tokens=100 --temperature=0.8 --text="def "

It needs the package absl-py and nothing else.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, flags

_SERVER = flags.DEFINE_string("server", "http://localhost:8501", "Address of the REST server.")
_MODEL = flags.DEFINE_string("model", "reformer", "Name under which the server has the model.")
_TEXT = flags.DEFINE_multi_string("text", None, "A text; several are one request.", required=True)
_GENERATE = flags.DEFINE_bool("generate", False, "Go on with the texts in place of scoring them.")
_MAX_NEW_TOKENS = flags.DEFINE_integer("max_new_tokens", 100, "At most so many tokens are generated.")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.8, "0 takes the likeliest token each time.")
_TOP_K = flags.DEFINE_integer("top_k", 0, "Draw among so many tokens; 0: all.")
_TOP_P = flags.DEFINE_float("top_p", 1.0, "Draw among the likeliest tokens of this probability.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same text.")
_TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds to wait.")


def as_json(text: bytes) -> dict[str, str]:
    """Bytes as TensorFlow Serving takes them, in base64. Text that is UTF-8 may also be sent as it is."""
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
        RuntimeError: If the request was refused; the message is the server's.
        OSError: If there is no answer in time.
    """
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    request = urllib.request.Request(f"{server}/v1/models/{model}:predict", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["error"]) from error


def main(arguments: list[str]) -> int:
    """Sends the request of the flags and prints what comes back."""
    del arguments
    texts = [text.encode() for text in _TEXT.value]
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
    except (RuntimeError, OSError) as error:
        print(error)
        return 1
    for text, row in zip(texts, rows, strict=True):
        if _GENERATE.value:
            print((text + base64.b64decode(row["b64"])).decode("utf-8", errors="replace"))
        else:
            print(f"{row['bits_per_byte']:.4f} bits per byte: {text.decode()!r}")
    return 0


if __name__ == "__main__":
    app.run(main)

"""The registered kinds of attention and what they declare, listed in a process of its own, since that takes TensorFlow.

    python -m benchmarks.points.registered_kinds

The last line is one JSON object, `kinds`: by name, whether a kind can be `causal` and `bidirectional`, and the `state`
that its decoding cache stores, in words, None if it cannot decode.
"""

import json
from typing import Any

from benchmarks.measuring import command_line
from reformer_tf.layers.attention import registry


def declared() -> dict[str, dict[str, Any]]:
    """What each registered kind declares."""
    found = {}
    for kind in registry.ATTENTION_LAYERS:
        able = registry.get(kind).capabilities
        state = able.decoding_cache.state if able.decoding_cache else None
        found[kind] = {"causal": able.causal, "bidirectional": able.bidirectional, "state": state}
    return found


def main() -> None:
    """Prints."""
    print(json.dumps({"kinds": declared()}))


if __name__ == "__main__":
    command_line.run(main)

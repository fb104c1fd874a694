"""Tokens a second of generation, over the length of the context and beside Hugging Face's.

    python -m benchmarks.decoding --contexts=1024,16384,65536 --batches=1,8 --rounds=3 --output=decoding.json

A model with random weights takes in a context of random bytes, and then generates; only what comes after the context is
timed. All take turns in one process, and medians are compared: by context, which should make no difference, and with
the cached generation of Hugging Face's Reformer at `--peer_context`, where torch and transformers are installed. The
sizes are flags; there are as many buckets as the longest context asks for. Long contexts are read from all over the
memory, for which GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the environment, kept in the result, makes a difference.
"""

import importlib.util
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks import our_model, size_flags
from benchmarks.peers.sizes import VOCABULARY
from trainer import atomic

_CONTEXTS = flags.DEFINE_list("contexts", ["1024", "16384", "65536"], "Lengths of the context, shortest first.")
_BATCHES = flags.DEFINE_list("batches", ["1", "8"], "Rows generated together.")
_TOKENS = flags.DEFINE_integer("tokens", 200, "New tokens that are timed.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Repetitions.", lower_bound=1)
_LOCAL_ROUND = flags.DEFINE_boolean(
    "local_round", False, "Whether our layers have one; other implementations have none."
)
_PEER_CONTEXT = flags.DEFINE_integer("peer_context", 16384, "Context of the peer; 0 for no peer.", lower_bound=0)
_PEER_TOKENS = flags.DEFINE_integer("peer_tokens", 20, "New tokens of the peer that are timed.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "decoding.json", "File of the results.")
for _name in ("layers", "width", "heads", "num_hashes", "chunk_length"):
    size_flags.define(_name)

# Generates that many tokens after the context; gives the seconds of one.
Timed = Callable[[np.ndarray, int], float]


def _ours(longest: int) -> Timed:
    from reformer_tf.generation import samplers
    from reformer_tf.generation.generate import Continuation

    model = our_model.build(size_flags.sizes(length=longest), attention_layers=["lsh"], local_round=_LOCAL_ROUND.value)

    def timed(context: np.ndarray, tokens: int) -> float:
        rows = Continuation(model, context.tolist(), tokens + 1, samplers.get("random"), 0, ())
        rows.first()
        start = time.perf_counter()
        rows.go_on(tokens)
        return (time.perf_counter() - start) / tokens

    return timed


def _hugging_face(longest: int) -> Timed:
    import torch

    from benchmarks.peers.huggingface import HuggingFaceReformer

    torch.manual_seed(0)
    model = HuggingFaceReformer(size_flags.sizes(length=longest)).model.eval()

    @torch.no_grad()
    def timed(context: np.ndarray, tokens: int) -> float:
        output = model(torch.tensor(context), use_cache=True)
        start = time.perf_counter()
        for _ in range(tokens):
            probabilities = torch.softmax(output.logits[:, -1], dim=-1)
            chosen = torch.multinomial(probabilities, 1)
            output = model(chosen, past_buckets_states=output.past_buckets_states, use_cache=True)
        return (time.perf_counter() - start) / tokens

    return timed


def main(arguments: list[str]) -> None:
    """Measures, prints and writes."""
    del arguments
    size_flags.check_heads()
    contexts, batches = [int(x) for x in _CONTEXTS.value], [int(x) for x in _BATCHES.value]
    longest = 1 << (max([*contexts, _PEER_CONTEXT.value]) + _TOKENS.value).bit_length()
    points = [("ours", batch, context, _TOKENS.value) for batch in batches for context in contexts]
    subjects = {"ours": _ours(longest)}
    installed = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
    if _PEER_CONTEXT.value and installed:
        subjects["huggingface"] = _hugging_face(longest)
        points += [("huggingface", 1, _PEER_CONTEXT.value, _PEER_TOKENS.value)]
    rng = np.random.default_rng(0)
    measured: list[list[float]] = [[] for _ in points]
    for number in range(_ROUNDS.value + 1):  # The first is not counted: programs are traced in it.
        for point, values in zip(points, measured, strict=True):
            subject, batch, context, tokens = point
            seconds = subjects[subject](rng.integers(0, VOCABULARY, (batch, context)), tokens)
            if number:
                values.append(seconds)
                print(f"{subject}, batch {batch}, context {context:,}: {1e3 * seconds:.2f} ms a step", flush=True)
    rows: list[dict[str, Any]] = []
    for (subject, batch, context, tokens), values in zip(points, measured, strict=True):
        step = statistics.median(values)
        rows.append({"subject": subject, "batch": batch, "context": context, "tokens": tokens, "step_s": step,
                     "tokens_per_s": batch / step, "all_step_s": values})  # fmt: skip
    speed = {(row["subject"], row["batch"], row["context"]): row["tokens_per_s"] for row in rows}
    result = {
        "sizes": {name: getattr(flags.FLAGS, name) for name in size_flags.SIZES if name != "length"},
        "local_round": _LOCAL_ROUND.value,
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
        "points": rows,
        "longest_over_shortest": {
            str(batch): speed["ours", batch, contexts[-1]] / speed["ours", batch, contexts[0]] for batch in batches
        },
    }
    if ("huggingface", 1, _PEER_CONTEXT.value) in speed and ("ours", 1, _PEER_CONTEXT.value) in speed:
        peer = speed["huggingface", 1, _PEER_CONTEXT.value]
        result["ours_over_huggingface"] = speed["ours", 1, _PEER_CONTEXT.value] / peer
    atomic.write_text(pathlib.Path(_OUTPUT.value), json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)

"""Tokens a second of generation by the length of the context, compared with Hugging Face's Reformer.

    python -m benchmarks.decoding --contexts=1024,16384,65536 --batches=1,8 --output=decoding.json

A model with random weights encodes a context of random bytes, and then generates; only the generation is timed. All
contexts of a batch are encoded first; then they alternate in one process, generating a few tokens at a time. Medians
over these repetitions are compared: between contexts, which should make no difference, and with the cached generation
of Hugging Face's Reformer at `--peer_context`, where torch and transformers are installed. The sizes are flags; the
number of buckets follows from the longest context.
"""

import importlib.util
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags

from benchmarks.measuring import command_line, our_model
from benchmarks.measuring.sizes import VOCABULARY
from trainer import atomic

_CONTEXTS = flags.DEFINE_list("contexts", ["1024", "16384", "65536"], "Lengths of the context, shortest first.")
_BATCHES = flags.DEFINE_list("batches", ["1", "8"], "Rows generated together.")
_TOKENS = flags.DEFINE_integer("tokens", 20, "New tokens of a repetition.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 40, "Repetitions of each, after one that is not counted.", lower_bound=1)
_LOCAL_ROUND = flags.DEFINE_boolean(
    "local_round", False, "Whether our layers have one; other implementations have none."
)
_PEER_CONTEXT = flags.DEFINE_integer("peer_context", 16384, "Context of the peer; 0 for no peer.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", "decoding.json", "File of the results.")
for _name in ("layers", "width", "heads", "num_hashes", "chunk_length"):
    command_line.define(_name)

# Seconds between two implementations: threads of the first wait for work actively, and would slow down the second.
_PAUSE = 0.5

# A `GoOn` generates so many more tokens; a `TakeIn` encodes a context, integers `[B, L]`, and returns one.
GoOn = Callable[[int], Any]
TakeIn = Callable[[np.ndarray], GoOn]


def _ours(longest: int) -> TakeIn:
    from reformer_tf.generation import samplers
    from reformer_tf.generation.generate import Continuation

    model = our_model.build(
        command_line.sizes(length=longest), attention_layers=["lsh"], local_round=_LOCAL_ROUND.value
    )

    def take_in(context: np.ndarray) -> GoOn:
        rows = Continuation(model, context.tolist(), _new_tokens(), samplers.get("random"), 0, ())
        rows.first()
        return rows.go_on

    return take_in


def _hugging_face(longest: int) -> TakeIn:
    import torch

    from benchmarks.peers.huggingface import HuggingFaceReformer

    torch.manual_seed(0)
    model = HuggingFaceReformer(command_line.sizes(length=longest)).model.eval()

    @torch.no_grad()
    def take_in(context: np.ndarray) -> GoOn:
        output = model(torch.tensor(context), use_cache=True)

        @torch.no_grad()
        def go_on(tokens: int) -> None:
            nonlocal output
            for _ in range(tokens):
                probabilities = torch.softmax(output.logits[:, -1], dim=-1)
                chosen = torch.multinomial(probabilities, 1)
                output = model(chosen, past_buckets_states=output.past_buckets_states, use_cache=True)

        return go_on

    return take_in


def _new_tokens() -> int:
    """The number of new tokens of a row: one with its context, and the tokens of all repetitions."""
    return 1 + _TOKENS.value * (_ROUNDS.value + 1)


def _measure(points: Sequence[tuple[str, int]], batch: int, subjects: dict[str, TakeIn]) -> list[list[float]]:
    """The seconds of a decoding step in each repetition, by subject and context; these points alternate."""
    rng = np.random.default_rng(0)
    runs = [subjects[subject](rng.integers(0, VOCABULARY, (batch, context))) for subject, context in points]
    measured: list[list[float]] = [[] for _ in points]
    before, _ = points[0]
    for repetition in range(_ROUNDS.value + 1):
        for (subject, _), go_on, values in zip(points, runs, measured, strict=True):
            if subject != before:
                time.sleep(_PAUSE)
                before = subject
            start = time.perf_counter()
            go_on(_TOKENS.value)
            seconds = (time.perf_counter() - start) / _TOKENS.value
            if repetition:  # The first one traces the programs.
                values.append(seconds)
    return measured


def main() -> None:
    """Measures, prints and writes."""
    with command_line.checking():
        command_line.check_heads()
        contexts, batches = (command_line.positive_integers(name) for name in ("contexts", "batches"))
    longest = 1 << (max([*contexts, _PEER_CONTEXT.value]) + _new_tokens()).bit_length()
    subjects = {"ours": _ours(longest)}
    if _PEER_CONTEXT.value and all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
        subjects["huggingface"] = _hugging_face(longest)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        points = [("ours", context) for context in contexts]
        if batch == 1 and "huggingface" in subjects:
            points.append(("huggingface", _PEER_CONTEXT.value))
        for (subject, context), values in zip(points, _measure(points, batch, subjects), strict=True):
            step = statistics.median(values)
            about = {"subject": subject, "batch": batch, "context": context}
            rows.append({**about, "step_s": step, "tokens_per_s": batch / step, "all_step_s": values})
            print(f"{subject}, batch {batch}, context {context:,}: {1e3 * step:.2f} ms a step", flush=True)
    speed = {(row["subject"], row["batch"], row["context"]): row["tokens_per_s"] for row in rows}
    result = {
        "sizes": command_line.arguments(name for name in command_line.SIZES if name != "length"),
        "local_round": _LOCAL_ROUND.value,
        "tokens": _TOKENS.value,
        "points": rows,
        "longest_over_shortest": {
            str(batch): speed["ours", batch, contexts[-1]] / speed["ours", batch, contexts[0]] for batch in batches
        },
    }
    peer = speed.get(("huggingface", 1, _PEER_CONTEXT.value))
    if peer is not None and ("ours", 1, _PEER_CONTEXT.value) in speed:
        result["ours_over_huggingface"] = speed["ours", 1, _PEER_CONTEXT.value] / peer
    atomic.write_text(pathlib.Path(_OUTPUT.value), json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    command_line.run(main)

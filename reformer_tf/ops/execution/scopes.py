"""All that functions of tensors know besides their arguments: variables of the context, each set for a `with` block.

They are few, because what a function does should follow from its arguments. These say something about all calls inside
a block, past layers and libraries in between that could not hand it on as an argument. The function that sets one is
beside the code that reads it, and documents it.

TensorFlow calls the function of a custom gradient after the block has ended: what a gradient needs of a scope is read
in the forward pass.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

# Whether inner functions may be compiled, see `compiled_functions.compiling_functions`.
compiling: ContextVar[bool] = ContextVar("compiling", default=False)
# Whether the graph that is traced will be one program, see `compiled_functions.compiled_as_a_whole`.
as_a_whole: ContextVar[bool] = ContextVar("as_a_whole", default=False)
# The most rows that a tensor of unknown size may have, see `row_chunks.at_most`.
most_rows: ContextVar[int | None] = ContextVar("most_rows", default=None)
# Lists that receive the buckets of hashing layers, see `replay.recording`.
records: ContextVar[tuple[list, ...]] = ContextVar("records", default=())
# The remaining buckets that hashing layers take, see `replay.replaying`.
replayed: ContextVar[list | None] = ContextVar("replayed", default=None)
# Whether all pairs are computed in place of windows or never, see `all_pairs.always`.
all_pairs: ContextVar[bool | None] = ContextVar("all_pairs", default=None)

# The updates of the optimizer so far, see `seeds.counting_updates`.
updates: ContextVar[Any] = ContextVar("updates", default=None)


@contextlib.contextmanager
def holding(variable: ContextVar, value: Any) -> Iterator[None]:
    """Sets a variable of the context inside."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)

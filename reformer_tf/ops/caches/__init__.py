"""What kinds of attention remember of a sequence that grows token by token: one cache for each kind of window.

A cache is filled from a whole prompt and then extended by one token at a time, of every row at its own position. Its
state is a dict of tensors whose first axis is the batch, so that rows can be picked and repeated; a step uses the state
it is given up (see `reformer_tf.ops.execution.in_place`) and returns the next.

Shape letters: B rows, L length of the longest prompt, S room (the most positions that will be used), H heads, D size of
a head, R hash rounds, C length of a window.
"""

from reformer_tf.ops.caches.base import Cache, State, StepIndices, Vectors
from reformer_tf.ops.caches.bucket_window import BucketWindowsCache
from reformer_tf.ops.caches.full import FullCache
from reformer_tf.ops.caches.sliding_window import SlidingWindowCache

__all__ = ["BucketWindowsCache", "Cache", "FullCache", "SlidingWindowCache", "State", "StepIndices", "Vectors"]

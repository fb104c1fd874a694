"""Decoding caches, which store keys and values of a sequence that grows token by token; one for each kind of window.

A cache is filled from a whole prompt and then extended by one token of each row at a time, each row at its own
position. Its state is a dict of tensors whose first axis is the batch, so that rows can be selected and repeated. A
step writes into the state in place (see `reformer_tf.ops.execution.in_place`): only the returned state may be used
afterwards.

Shape letters: B rows, L length of the longest prompt, S capacity (the number of positions that will be used at most), H
heads, D size of a head, R hash rounds, C length of a window.
"""

from reformer_tf.ops.caches.base import Cache, State, StepIndices, Vectors
from reformer_tf.ops.caches.bucket_window import BucketWindowsCache
from reformer_tf.ops.caches.feature_sums import FeatureSumsCache
from reformer_tf.ops.caches.full import FullCache
from reformer_tf.ops.caches.sliding_window import SlidingWindowCache

__all__ = [
    "BucketWindowsCache",
    "Cache",
    "FeatureSumsCache",
    "FullCache",
    "SlidingWindowCache",
    "State",
    "StepIndices",
    "Vectors",
]

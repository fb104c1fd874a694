"""The settings of each registered kind of attention for the conformance tests.

A new kind needs one entry in `SETTINGS` and, for its numbers, one in `VISIBLE`; a test fails as long as it has none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from reformer_tf.layers.attention import AttentionCapabilities
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.ops import replay
from tests.testing import attention_reference as reference
from tests.testing import chunk_window_reference, feature_reference

WIDTH, HEADS, DEPTH, CHUNK = 12, 2, 8, 16

# Constructor arguments by kind and name of the setting; `causal` and sizes come from `make_layer`. What a kind can do,
# and so what is tested of it, is read from its capabilities.
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "lsh": {
        "default": {"chunk_length": CHUNK, "num_hashes": 2, "num_buckets": 4},
        "one_round": {"chunk_length": CHUNK, "num_hashes": 1, "num_buckets": 2, "local_round": False},
        "factors": {"chunk_length": 7, "num_hashes": 3, "num_buckets": (2, 4), "local_round": False},
        "bias": {"chunk_length": CHUNK, "num_hashes": 2, "use_bias": True},
        "rotary": {"chunk_length": CHUNK, "num_hashes": 2, "rotary": True},
        "chunks": {"window": "chunk", "chunk_length": CHUNK, "num_hashes": 2, "num_buckets": 4},
        "released": {"window": "chunk", "chunk_length": 8, "num_hashes": 2, "wrap": True, "length_multiple": 24},
    },
    "local": {
        "default": {"chunk_length": CHUNK},
        "shared": {"chunk_length": CHUNK, "shared_query_key": True, "use_bias": True},
        "pairs": {"chunk_length": 2, "rotary": True},
        "alone": {"chunk_length": 1, "shared_query_key": True},
        "chunks": {"window": "chunk", "chunk_length": CHUNK},
        "released": {"window": "chunk", "chunk_length": 8, "wrap": True, "chunks_after": 1, "length_multiple": 24},
    },
    "full": {
        "default": {},
        "shared": {"shared_query_key": True},
        "bias": {"use_bias": True},
        "rotary": {"rotary": True},
    },
    "performer": {
        "default": {"num_features": 16},
        "regularized": {"num_features": 12, "features": "softmax_regularized", "use_bias": True},
        "hyperbolic": {"num_features": 10, "features": "hyperbolic", "rotary": True},
        "relu": {"num_features": 16, "features": "relu"},
        "elu": {"features": "elu"},
    },
}


class Case(NamedTuple):
    """One kind of attention with one setting."""

    kind: str
    setting: str
    causal: bool

    @property
    def name(self) -> str:
        return "-".join([self.kind, self.setting, "causal" if self.causal else "both"])

    @property
    def capabilities(self) -> AttentionCapabilities:
        return ATTENTION_LAYERS[self.kind].capabilities

    @property
    def arguments(self) -> dict[str, Any]:
        return SETTINGS[self.kind][self.setting]

    @property
    def has_chunks(self) -> bool:
        """Whether windows are whole chunks, whose boundaries depend on the tokens in the sequence."""
        return self.arguments.get("window") == "chunk"

    @property
    def is_strictly_causal(self) -> bool:
        """Whether later tokens never change which tokens are seen; with chunks of hash rounds or `wrap` they do."""
        return self.causal and not self.arguments.get("wrap") and not (self.has_chunks and self.kind == "lsh")

    @property
    def ignores_padding(self) -> bool:
        """Whether trailing padding changes nothing; it does with `wrap`, or if the bucket count follows the length."""
        follows = self.has_chunks and self.kind == "lsh" and "num_buckets" not in self.arguments
        return not follows and not self.arguments.get("wrap")

    @property
    def closes_gaps(self) -> bool:
        """Whether results are as if masked tokens were not there; rotations and local chunks depend on positions."""
        by_position = self.arguments.get("rotary") or (self.has_chunks and self.kind == "local")
        return self.ignores_padding and not by_position


def chunk_window(layer: Any) -> chunk_window_reference.Window:
    """The reference's window of a layer with `window="chunk"`."""
    return chunk_window_reference.Window(
        layer.chunk_length,
        layer.causal,
        layer.shared_query_key,
        layer.chunks_before,
        layer.chunks_after,
        layer.wrap,
        layer.length_multiple,
        layer.exact_length,
        # The released code's way with float32; there is nothing to round in local layers, which see themselves.
        rounds_penalty=layer.shared_query_key and layer.wrap and layer.compute_dtype != "float64",
    )


def _meetings(layer: Any, buckets: np.ndarray | None, mask: np.ndarray, segment_ids: np.ndarray | None) -> np.ndarray:
    return chunk_window_reference.all_meetings(buckets, mask, layer.num_heads, chunk_window(layer), segment_ids)


def _lsh_pairs(layer: Any, buckets: np.ndarray, mask: np.ndarray, segment_ids: np.ndarray | None) -> np.ndarray:
    if layer.window == "chunk":
        return _meetings(layer, buckets, mask, segment_ids).sum(2)
    local = np.zeros_like(buckets[:, :, :1])
    rounds = np.concatenate([local, buckets], axis=2) if layer.local_round else buckets
    return reference.visible_pairs(rounds, mask, layer.chunk_length, layer.causal, segment_ids)


def _local_pairs(layer: Any, _: None, mask: np.ndarray, segment_ids: np.ndarray | None) -> np.ndarray:
    if layer.window == "chunk":
        return _meetings(layer, None, mask, segment_ids).sum(2)
    one_bucket = np.zeros([len(mask), layer.num_heads, 1, mask.shape[1]], int)
    return reference.visible_pairs(one_bucket, mask, layer.chunk_length, layer.causal, segment_ids)


def _full_pairs(layer: Any, _: None, mask: np.ndarray, segment_ids: np.ndarray | None) -> np.ndarray:
    return reference.all_pairs(mask, layer.num_heads, layer.causal, segment_ids)


# From a layer, its buckets [B, H, R, L] or None, mask and segments [B, L] to the pairs that it lets see each other, or
# how often it does.
VISIBLE: dict[str, Callable[..., np.ndarray]] = {
    "lsh": _lsh_pairs,
    "local": _local_pairs,
    "full": _full_pairs,
    "performer": _full_pairs,
}


def _feature_weights(layer: Any, log_weights: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    rows = [np.asarray(weight) for weight in layer.weights if weight.name == "feature_rows"]
    return lambda q, k: log_weights(layer.features, q, k, rows[0] if rows else None)


# From a layer, and a function of numpy or of TensorFlow, to the logarithms of weights of pairs from queries and keys.
# Kinds whose weights are the exponentials of products have none.
LOG_WEIGHTS: dict[str, Callable[..., Callable[[Any, Any], Any]]] = {"performer": _feature_weights}


def log_weights(case: Case, layer: Any, function: Callable[..., Any]) -> Callable[[Any, Any], Any] | None:
    """Weights of pairs in a layer, by a function such as `feature_reference.log_weights`; None if they are plain."""
    return LOG_WEIGHTS[case.kind](layer, function) if case.kind in LOG_WEIGHTS else None


def _directions(kind: str) -> list[bool]:
    """The values of `causal` that layers of a kind can have."""
    able = ATTENTION_LAYERS[kind].capabilities
    return [*([False] if able.bidirectional else []), *([True] if able.causal else [])]


ALL = [Case(kind, setting, causal) for kind in SETTINGS for setting in SETTINGS[kind] for causal in _directions(kind)]
# The plain setting of each kind, and the form of the authors' released code.
DEFAULTS = [case for case in ALL if case.setting == "default" or (case.setting == "released" and case.causal)]
# For tests in which the direction hardly matters: causal, where a kind can be.
ONE_DIRECTION = [case for case in DEFAULTS if case.causal or not case.capabilities.causal]
DROPPING_DEFAULTS = [case for case in DEFAULTS if case.capabilities.pair_dropout]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    """Parametrizes a test with `case`."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def each_direction(cases: list[Case]) -> pytest.MarkDecorator:
    """Like `each`, for a test in which the direction hardly matters: the other of two directions is marked slow."""
    marked = [
        pytest.param(case, marks=[] if case in ONE_DIRECTION else pytest.mark.slow, id=case.name) for case in cases
    ]
    return pytest.mark.parametrize("case", marked)


def make_layer(
    case: Case, width: int | None = WIDTH, dropout: float | None = None, **changes: Any
) -> keras.layers.Layer:
    """Makes the layer of `case`, with weights that are not tiny if `width` is given. Kinds without dropout get none."""
    arguments = {"num_heads": HEADS, "key_dim": DEPTH, "seed": 5, **case.arguments, **changes}
    if case.capabilities.causal:
        arguments["causal"] = case.causal
    if case.capabilities.pair_dropout and dropout is not None:
        arguments["dropout"] = dropout
    layer = ATTENTION_LAYERS[case.kind](**arguments)
    if width is not None:
        layer.build([None, None, width])
        perturb(layer)
    return layer


def perturb(layer: keras.layers.Layer, seed: int = 1) -> None:
    """Sets the trainable weights, biases included, to random numbers that give outputs of size about one."""
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))


def inputs(batch: int, length: int, width: int = WIDTH, seed: int = 2, dtype: str = "float32") -> np.ndarray:
    """Random inputs `[B, L, M]` of size about one."""
    return np.random.default_rng(seed).normal(size=[batch, length, width]).astype(dtype)


def masks(batch: int, length: int, seed: int = 3) -> np.ndarray:
    """Boolean `[B, L]`: the first row whole, others with gaps in the middle and padding at the end."""
    mask = np.random.default_rng(seed).random([batch, length]) < 0.8
    mask[:, length - length // 5 :] = False
    mask[0] = True
    return mask


def segments(batch: int, length: int, in_order: bool) -> np.ndarray:
    """Integers `[B, L]` from 0 to 3: in order, so that each segment is one run, or in no order."""
    ids = np.random.default_rng(4).integers(0, 4, [batch, length]).astype("int32")
    return np.sort(ids, axis=1) if in_order else ids


def apart(case: Case, segment_ids: np.ndarray) -> np.ndarray:
    """Ids that are equal for tokens that `segment_ids` do not keep apart in layers of the kind."""
    if case.capabilities.segments == "equal":
        return segment_ids
    return np.cumsum(np.diff(segment_ids, axis=1, prepend=segment_ids[:, :1]) != 0, axis=1)


def call_and_buckets(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Calls a layer eagerly; returns its output and the buckets that it used, None if it does not hash."""
    with replay.recording() as recorded:
        y = layer(*args, **kwargs)
    return np.asarray(y), np.asarray(recorded[0]) if recorded else None


def replaying(buckets: np.ndarray | None) -> Any:
    """Makes the layer that is called inside use `buckets`; for a layer that does not hash they are None."""
    return replay.replaying([] if buckets is None else [buckets])


def is_shared(layer: keras.layers.Layer) -> bool:
    """Whether queries and keys of a layer share a kernel: query_key, value, output in place of four kernels."""
    return len(layer.trainable_variables) == 3 * (2 if layer.use_bias else 1)


def factors(
    layer: Any, buckets: np.ndarray | None, mask: np.ndarray, segment_ids: np.ndarray | None = None
) -> np.ndarray | None:
    """Factors by which rounding scales tokens that see only themselves, `[B, H, L]`; None if it does not."""
    if getattr(layer, "window", None) != "chunk" or not chunk_window(layer).rounds_penalty:
        return None
    return chunk_window_reference.own_factors(_meetings(layer, buckets, mask, segment_ids))


def expected(
    case: Case,
    layer: keras.layers.Layer,
    x: np.ndarray,
    buckets: np.ndarray | None,
    mask: np.ndarray | None = None,
    segment_ids: np.ndarray | None = None,
) -> np.ndarray:
    """The output of the numpy reference for a call, in float64 `[B, L, M]`."""
    all_or_mask = np.ones(x.shape[:2], bool) if mask is None else mask
    visible = VISIBLE[case.kind](layer, buckets, all_or_mask, segment_ids)
    weights = [np.asarray(weight) for weight in layer.trainable_variables]
    projections = reference.Projections.from_weights(weights, is_shared(layer), layer.use_bias)
    x = x if mask is None else np.where(mask[..., None], x, 0.0)
    scale = factors(layer, buckets, all_or_mask, segment_ids)
    weights_of_pairs = log_weights(case, layer, feature_reference.log_weights)
    return reference.attention(x, projections, visible, layer.rotary, scale, weights_of_pairs)

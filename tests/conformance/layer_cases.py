"""The layers and models of the contract test: how each is made, what it takes and what it gives.

A layer or model needs one entry in `CASES`; a test fails as long as it has none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from reformer_tf.layers import (
    AxialPositionEmbedding,
    ChunkedFeedForward,
    ChunkedLayerNormalization,
    FullCrossAttention,
    FullSelfAttention,
    LearnedPositionEmbedding,
    LocalSelfAttention,
    LSHSelfAttention,
    PerformerCrossAttention,
    PerformerSelfAttention,
    ResidualBranch,
    ReversibleStack,
    SinusoidalPositionEmbedding,
)
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.shifted_embedding import ShiftedEmbedding
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models import (
    ReformerBackbone,
    ReformerCausalLM,
    ReformerClassifier,
    ReformerDecoder,
    ReformerMaskedLM,
    ReformerSeq2Seq,
    ReformerSpanPredictor,
)
from tests.conformance import cases

WIDTH, LONGEST, VOCABULARY = 8, 40, 11


class Case(NamedTuple):
    """A layer or a model.

    Attributes:
        layer: its class.
        arguments: makes the arguments of its constructor.
        takes_ids: whether it takes ids `[B, L]`, and not vectors `[B, L, M]`.
        output_dtype: of its outputs; the compute dtype if None.
        shapes: of its outputs, from B and L.
        passes_mask: whether its output has the mask of its input.
        pair: whether it takes pairs of ids, by name.
        named: inputs by name, if there are several: for each whether it is ids, and the number of tokens it has more.
        separate: whether these are arguments of their own in a call.
        deeper: arguments with which a model has layers of several kinds.
    """

    layer: type[keras.layers.Layer]
    arguments: Callable[[], dict[str, Any]]
    takes_ids: bool = False
    output_dtype: str | None = None
    shapes: Callable[[Any, Any], Any] = lambda batch, length: (batch, length, WIDTH)
    passes_mask: bool = True
    pair: bool = False
    named: dict[str, tuple[bool, int]] | None = None
    separate: bool = False
    deeper: dict[str, Any] | None = None

    def call(self, layer: keras.layers.Layer, data: Any, **options: Any) -> Any:
        """Calls the layer on the data of `inputs`."""
        return layer(**data, **options) if self.separate else layer(data, **options)

    @property
    def name(self) -> str:
        return f"{self.layer.__name__}{'OfPairs' if self.pair else ''}"

    @property
    def is_model(self) -> bool:
        return issubclass(self.layer, keras.Model)


def _blocks() -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    attention = lambda: ResidualBranch(LocalSelfAttention(2, 4, chunk_length=4, seed=1))
    return [(attention(), ResidualBranch(ChunkedFeedForward(12))) for _ in range(2)]


def _model(layer: type[keras.Model], shapes: Any, passes_mask: bool = True, **own: Any) -> Case:
    sizes = {
        "vocabulary_size": VOCABULARY,
        "max_sequence_length": LONGEST,
        "num_layers": 1,
        "hidden_dim": WIDTH,
        "num_heads": 2,
        "key_dim": 4,
        "intermediate_dim": 12,
        # Without hashing, in which rounding may change buckets, and quick to trace.
        "attention_layers": ["full"],
    }
    output_dtype = None if layer is ReformerBackbone else "float32"
    deeper = {"num_layers": 3, "attention_layers": ["full", "local", "lsh"], "dropout": 0.1}
    pair = own.get("pair", False)
    return Case(layer, lambda: {**sizes, **own}, True, output_dtype, shapes, passes_mask, pair, deeper=deeper)


def _seq2seq(**own: Any) -> Case:
    sizes = {
        "source_vocabulary_size": VOCABULARY,
        "target_vocabulary_size": VOCABULARY,
        "max_source_length": LONGEST + 3,
        "max_target_length": LONGEST,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "hidden_dim": WIDTH,
        "num_heads": 2,
        "key_dim": 4,
        "intermediate_dim": 12,
        "encoder_attention_layers": ["full"],
        "decoder_attention_layers": ["full"],
        **own,
    }
    layers = {f"num_{side}_layers": 3 for side in ("encoder", "decoder")}
    kinds = {f"{side}_attention_layers": ["full", "local", "lsh"] for side in ("encoder", "decoder")}
    named = {"source": (True, 3), "target": (True, 0)}
    deeper = {**layers, **kinds, "dropout": 0.1}
    return Case(ReformerSeq2Seq, lambda: sizes, True, "float32", _LOGITS, named=named, deeper=deeper)


def _decoder() -> Case:
    case = _model(ReformerDecoder, lambda batch, length: (batch, length, WIDTH))
    return case._replace(output_dtype=None, takes_ids=False, named={"ids": (True, 0), "context": (False, 3)})


def _cross(layer: type[keras.layers.Layer], **own: Any) -> Case:
    named = {"inputs": (False, 0), "context": (False, 3)}
    return Case(layer, lambda: {"num_heads": 2, "key_dim": 4, **own}, named=named, separate=True)


_LOGITS = lambda batch, length: (batch, length, VOCABULARY)
CASES = [
    Case(AxialPositionEmbedding, lambda: {"axial_shape": (8, 5), "axial_dims": (2, 6)}),
    Case(ChunkedFeedForward, lambda: {"intermediate_dim": 12, "gated": True, "chunk_length": 7}),
    Case(ChunkedLayerNormalization, lambda: {"epsilon": 1e-3}),
    _cross(FullCrossAttention, dropout=0.1, use_bias=True, seed=5),
    _cross(PerformerCrossAttention, num_features=6, features="relu", seed=5),
    Case(FullSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "causal": True}),
    Case(LearnedPositionEmbedding, lambda: {"max_sequence_length": LONGEST}),
    Case(LocalSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "chunk_length": 4, "rotary": True}),
    Case(LSHSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "chunk_length": 4, "num_buckets": 4, "seed": 3}),
    Case(PerformerSelfAttention, lambda: {"num_heads": 2, "key_dim": 4, "num_features": 6, "causal": True, "seed": 7}),
    Case(ResidualBranch, lambda: {"layer": ChunkedFeedForward(12), "dropout": 0.1, "seed": 2}),
    Case(ReversibleStack, lambda: {"blocks": _blocks(), "seed": 4}, output_dtype="float32"),
    Case(SeededDropout, lambda: {"rate": 0.3, "seed": 6}),
    Case(ShiftedEmbedding, lambda: {"embedding": TokenEmbedding(VOCABULARY, WIDTH)}, takes_ids=True),
    Case(SinusoidalPositionEmbedding, lambda: {"scale": 0.5}),
    Case(
        TokenEmbedding,
        lambda: {"vocabulary_size": VOCABULARY, "hidden_dim": WIDTH, "max_sequence_length": LONGEST},
        takes_ids=True,
    ),
    Case(TokenHead, lambda: {"vocabulary_size": VOCABULARY}, output_dtype="float32", shapes=_LOGITS),
    _model(ReformerBackbone, lambda batch, length: (batch, length, WIDTH), dropout=0.2),
    _model(ReformerCausalLM, _LOGITS, attention_dropout=0.1),
    _model(ReformerClassifier, lambda batch, length: (batch, 3), passes_mask=False, num_classes=3, reversible=False),
    _model(ReformerClassifier, lambda batch, length: (batch, 3), passes_mask=False, num_classes=3, pair=True),
    _decoder(),
    _seq2seq(share_embeddings=True, label_smoothing=0.1, cross_attention="performer"),
    _model(ReformerMaskedLM, _LOGITS, ignore_id=-1, rotary=True, positions="none"),
    _model(ReformerSpanPredictor, lambda *ids: {"start": ids, "end": ids}, passes_mask=False, reversible=False),
]
each = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def make(case: Case, **changes: Any) -> keras.layers.Layer:
    """Builds the layer of a case, with weights that are not tiny."""
    layer = case.layer(**{**case.arguments(), **changes})
    case.call(layer, inputs(case))
    cases.perturb(layer)
    return layer


def inputs(case: Case, batch: int = 2, length: int = 9) -> Any:
    """Random ids `[B, L]` or vectors `[B, L, M]`; by name where there are several, for a model of pairs one shorter."""
    if case.named:
        kinds = case.named.items()
        one = case._replace(named=None)
        return {name: inputs(one._replace(takes_ids=ids), batch, length + more) for name, (ids, more) in kinds}
    if case.pair:
        lengths = {"ids": length, "pair_ids": length // 2 + 1}
        return {name: inputs(case._replace(pair=False), batch, length) for name, length in lengths.items()}
    if case.takes_ids:
        return np.random.default_rng(2).integers(0, VOCABULARY, [batch, length]).astype("int32")
    return cases.inputs(batch, length, WIDTH)


def symbolic(case: Case, name: str | None = None) -> Any:
    """An input of unknown batch and length."""
    if case.named:
        one = case._replace(named=None)
        return {name: symbolic(one._replace(takes_ids=ids), name) for name, (ids, _) in case.named.items()}
    if case.pair:
        return {name: keras.Input([None], dtype="int32", name=name) for name in ("ids", "pair_ids")}
    return keras.Input([None], dtype="int32", name=name) if case.takes_ids else keras.Input([None, WIDTH], name=name)


def flat(outputs: Any) -> list[np.ndarray]:
    """The outputs as arrays."""
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def assert_equal(actual: Any, expected: Any) -> None:
    """Checks that outputs are those expected, up to rounding."""
    for one, other in zip(flat(actual), flat(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)

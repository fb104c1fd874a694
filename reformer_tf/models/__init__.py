"""Models, assembled functionally from the layers."""

from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.causal_lm import ReformerCausalLM
from reformer_tf.models.classifier import ReformerClassifier
from reformer_tf.models.decoder import ReformerDecoder
from reformer_tf.models.masked_lm import ReformerMaskedLM
from reformer_tf.models.seq2seq import ReformerSeq2Seq
from reformer_tf.models.span_predictor import ReformerSpanPredictor

__all__ = [
    "ReformerBackbone",
    "ReformerCausalLM",
    "ReformerClassifier",
    "ReformerDecoder",
    "ReformerMaskedLM",
    "ReformerSeq2Seq",
    "ReformerSpanPredictor",
]

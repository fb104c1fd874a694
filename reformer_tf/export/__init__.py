"""Exports models as SavedModels that TensorFlow Serving and plain TensorFlow run without this package."""

from reformer_tf.export.byte_tokenizer import ByteTokenizer
from reformer_tf.export.saved_model import export_saved_model
from reformer_tf.export.sentencepiece_tokenizer import SentencePieceTokenizer
from reformer_tf.export.tokenizer import Tokenizer

__all__ = ["ByteTokenizer", "SentencePieceTokenizer", "Tokenizer", "export_saved_model"]

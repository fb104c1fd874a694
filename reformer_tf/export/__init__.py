"""Exports models as SavedModels that TensorFlow Serving and plain TensorFlow run without this package."""

from reformer_tf.export.saved_model import export_saved_model
from reformer_tf.tokenizers import ByteTokenizer, SentencePieceTokenizer, Tokenizer

__all__ = ["ByteTokenizer", "SentencePieceTokenizer", "Tokenizer", "export_saved_model"]

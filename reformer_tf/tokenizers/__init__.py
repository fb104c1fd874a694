"""Tokenizers: text as ids and back, in Python for training and in the graph of an export for serving."""

from reformer_tf.tokenizers.byte_tokenizer import ByteTokenizer
from reformer_tf.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer
from reformer_tf.tokenizers.tokenizer import Tokenizer

__all__ = ["ByteTokenizer", "SentencePieceTokenizer", "Tokenizer"]

"""Tests of `reformer_tf.export`."""

"""Tests of reformer_tf, its trainer and its configs; the folders mirror the tree."""

"""Tests of the way from documents to batches."""

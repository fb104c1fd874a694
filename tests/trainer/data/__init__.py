"""Tests of the data, from documents to batches."""

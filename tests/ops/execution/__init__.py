"""Tests of loops, slices, chunks and compiled functions."""

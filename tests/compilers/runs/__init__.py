"""Tests of runs of lowered steps."""

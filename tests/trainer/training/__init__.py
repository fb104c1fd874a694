"""Tests of the run and its training loop."""
